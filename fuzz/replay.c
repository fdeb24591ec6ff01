/* Runs files, and all files of folders, through a target, for those who have no fuzzer at hand: a finding is looked at
 * under any compiler and debugger, and the tests replay every corpus. `replay [-v] FILE|FOLDER ...`; -v names each file
 * before it runs. A target that objects aborts. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t replayed;
static int    verbose;

static int fail(const char *path)
{
    fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
    return 1;
}

/* In memory of its own size: a byte read beyond it is found by a sanitizer. */
static int replay_file(const char *path, size_t size)
{
    FILE    *file = fopen(path, "rb");
    uint8_t *data = malloc(size ? size : 1);
    if (file == NULL || data == NULL || fread(data, 1, size, file) != size) {
        if (file) fclose(file);
        free(data);
        return fail(path);
    }
    fclose(file);
    if (verbose) fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    replayed++;
    return 0;
}

static int replay_folder(const char *path)
{
    struct dirent **entries;
    int             failed = 0, n = scandir(path, &entries, NULL, alphasort);
    if (n < 0) return fail(path);
    for (int i = 0; i < n; i++) {
        char        inner[4096];
        struct stat info;
        snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);
        free(entries[i]);
        if (stat(inner, &info) != 0) failed |= fail(inner);
        else if (S_ISREG(info.st_mode)) failed |= replay_file(inner, (size_t)info.st_size);
    }
    free(entries);
    return failed;
}

int main(int argc, char **argv)
{
    struct stat info;
    int         failed = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-v") == 0) verbose = 1;
        else if (stat(argv[i], &info) != 0) failed |= fail(argv[i]);
        else failed |= S_ISDIR(info.st_mode) ? replay_folder(argv[i]) : replay_file(argv[i], (size_t)info.st_size);
    }
    printf("%zu replayed\n", replayed);
    return failed || replayed == 0;
}
