/* The lines of every text file below a folder, in memory. */
#ifndef RH_CLI_TREE_H
#define RH_CLI_TREE_H

#include <ringhub/base.h>

struct tree_file {
    rh_slice *lines;
    size_t    line_count;
    char     *text;
};

struct tree {
    struct tree_file *files;
    size_t            file_count, room;
    uint64_t          line_count;
};

/* A walk over the lines of every n-th file, round after round. */
struct tree_cursor {
    size_t   file, line, first;
    uint64_t round;
};

/* Hidden folders, build and node_modules are left out, and files with a zero byte. False: no line at all. */
bool rh_tree_read(struct tree *tree, const char *folder);
void rh_tree_fini(struct tree *tree);

void rh_tree_begin(const struct tree *tree, struct tree_cursor *cursor, size_t first);
bool rh_tree_has_next(const struct tree *tree, const struct tree_cursor *cursor, uint64_t rounds);
rh_slice rh_tree_line(const struct tree *tree, const struct tree_cursor *cursor);
void rh_tree_step(const struct tree *tree, struct tree_cursor *cursor, size_t every);

#endif
