#include "bench/task.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- words ----------------------------------------------------------------------------------- */

static const char *value_of(const char *line, const char *key)
{
    size_t n = strlen(key);
    for (const char *word = line; *word; word += strcspn(word, " ")) {
        word += strspn(word, " ");
        if (strncmp(word, key, n) == 0 && word[n] == '=') return word + n + 1;
    }
    return NULL;
}

bool rh_word_text(const char *line, const char *key, char *out, size_t n)
{
    const char *value = value_of(line, key);
    size_t      used  = value ? strcspn(value, " ") : 0;
    if (!value || used >= n) return false;
    memcpy(out, value, used);
    out[used] = 0;
    return true;
}

bool rh_word_number(const char *line, const char *key, uint64_t *out)
{
    const char *value = value_of(line, key);
    char       *end;
    if (!value || !isdigit((unsigned char)*value)) return false;
    errno = 0;
    *out  = strtoull(value, &end, 10);
    return errno == 0 && (*end == 0 || *end == ' ');
}

/* -- open ------------------------------------------------------------------------------------ */

bool rh_task_print(const rh_task *task, char *line, size_t n)
{
    size_t used = 0;
#define ADD(...) (used += (size_t)snprintf(line + (used < n ? used : n), used < n ? n - used : 0, __VA_ARGS__))
    ADD("open task=%s", task->task);
    if (task->host[0]) ADD(" host=%s port=%u tls=%d", task->host, task->port, task->tls);
    if (task->ca[0]) ADD(" ca=%s", task->ca);
    if (task->address[0]) ADD(" address=%s", task->address);
    if (task->size) ADD(" size=%u", task->size);
    ADD(" settled=%d batch=%u", task->settled, task->batch ? task->batch : 1);
    if (task->events) ADD(" events=%llu", (unsigned long long)task->events);
    if (task->rate) ADD(" rate=%llu", (unsigned long long)task->rate);
#undef ADD
    return used < n;
}

/* -- done ------------------------------------------------------------------------------------ */

bool rh_run_read(const char *line, rh_run *out)
{
    return rh_word_number(line, "events", &out->events) && rh_word_number(line, "ns", &out->ns)
           && rh_word_number(line, "cpu_ns", &out->cpu_ns) && rh_word_number(line, "bytes", &out->bytes);
}
