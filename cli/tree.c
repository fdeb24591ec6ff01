#include "cli/tree.h"

#include <fts.h>
#include <stdio.h>
#include <stdlib.h>

static char *read_whole(const char *path, size_t *n)
{
    FILE *file = fopen(path, "re");
    if (!file) return NULL;
    char *text = NULL;
    size_t room = 0;
    /* With a delimiter that no text file holds, one line is the whole file. */
    ssize_t got = getdelim(&text, &room, '\0', file);
    bool whole = got > 0 && feof(file) && memchr(text, '\0', (size_t)got) == NULL;
    fclose(file);
    if (!whole) {
        free(text);
        return NULL;
    }
    *n = (size_t)got;
    return text;
}

static size_t split(char *text, size_t n, rh_slice *lines)
{
    size_t count = 0;
    for (char *at = text, *end = text + n; at < end;) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = stop ? (size_t)(stop - at) : (size_t)(end - at);
        if (lines) lines[count] = rh_slice_of(at, length);
        count++;
        at += length + 1;
    }
    return count;
}

static bool add_file(struct tree *tree, const char *path)
{
    size_t n;
    char *text = read_whole(path, &n);
    if (!text) return true; /* binary, empty or not for us: no text file */
    if (tree->file_count == tree->room) {
        size_t room = tree->room ? tree->room * 2 : 256;
        struct tree_file *files = realloc(tree->files, room * sizeof *files);
        if (!files) return free(text), false;
        tree->files = files;
        tree->room = room;
    }
    struct tree_file *file = &tree->files[tree->file_count];
    *file = (struct tree_file){ .text = text, .line_count = split(text, n, NULL) };
    file->lines = malloc(file->line_count * sizeof *file->lines);
    if (!file->lines) return free(text), false;
    split(text, n, file->lines);
    tree->file_count++;
    tree->line_count += file->line_count;
    return true;
}

static int by_name(const FTSENT **a, const FTSENT **b) { return strcmp((*a)->fts_name, (*b)->fts_name); }

static bool is_left_out(const FTSENT *entry)
{
    if (entry->fts_level == 0) return false;
    return entry->fts_name[0] == '.' || strcmp(entry->fts_name, "build") == 0 || strcmp(entry->fts_name, "node_modules") == 0;
}

bool rh_tree_read(struct tree *tree, const char *folder)
{
    char *start[] = { (char *)(uintptr_t)folder, NULL };
    FTS *walk = fts_open(start, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    if (!walk) return false;
    bool fine = true;
    for (FTSENT *entry; fine && (entry = fts_read(walk));) {
        if (entry->fts_info == FTS_D && is_left_out(entry)) fts_set(walk, entry, FTS_SKIP);
        if (entry->fts_info == FTS_F) fine = add_file(tree, entry->fts_path);
    }
    fts_close(walk);
    return fine && tree->line_count > 0;
}

void rh_tree_fini(struct tree *tree)
{
    for (size_t i = 0; i < tree->file_count; i++) {
        free(tree->files[i].lines);
        free(tree->files[i].text);
    }
    free(tree->files);
}

void rh_tree_begin(const struct tree *tree, struct tree_cursor *cursor, size_t first)
{
    *cursor = (struct tree_cursor){ .file = first, .first = first };
    if (first >= tree->file_count) cursor->round = UINT64_MAX; /* fewer files than walks: this one has none */
}

bool rh_tree_has_next(const struct tree *tree, const struct tree_cursor *cursor, uint64_t rounds)
{
    return cursor->round < rounds && cursor->file < tree->file_count;
}

rh_slice rh_tree_line(const struct tree *tree, const struct tree_cursor *cursor)
{
    return tree->files[cursor->file].lines[cursor->line];
}

void rh_tree_step(const struct tree *tree, struct tree_cursor *cursor, size_t every)
{
    if (++cursor->line < tree->files[cursor->file].line_count) return;
    cursor->line = 0;
    cursor->file += every;
    if (cursor->file < tree->file_count) return;
    cursor->file = cursor->first;
    cursor->round++;
}
