/*
 * winnow.c: the dispatcher. `winnow NAME ...` runs the program NAME from libexec, or from the folder that
 * contains this program, as git does. It does not search PATH, so no other program can run in place of a
 * stage.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#ifndef WINNOW_LIBEXEC
#define WINNOW_LIBEXEC "../libexec/winnow" /* relative to the folder of this binary */
#endif

static const struct {
    const char *name, *summary;
} programs[] = {
#include "programs.h" /* made by the Makefile from the programs' own option tables */
    {"run", "the whole pipeline from a settings file"},
};

static int usage(FILE *to, const char *folder, int code)
{
    fprintf(to, "usage: winnow PROGRAM [OPTION]... [ARGUMENT]...\n\n"
                "Turns lists of image URLs into a clean data set and an audited classifier.\n"
                "Programs read and write TSV manifests; 'winnow PROGRAM --help' explains each.\n"
                "The flow: fetch, validate, hash-dedup, phash-dedup, train-test-split, augment, pack,\n"
                "train, eval, mine-errors, then a person's decisions, relabel, and round again.\n\n");
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        fprintf(to, "  %-18s %s\n", programs[i].name, programs[i].summary);
    fprintf(to, "\nprograms in %s\n", folder);
    return fflush(to) || ferror(to) ? EX_IOERR : code;
}

int main(int argc, char **argv)
{
    char self[4096], folder[4096 + 64], path[8192];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    struct stat st;
    if (n <= 0) {
        fprintf(stderr, "winnow: cannot find its own folder: %s\n", strerror(errno));
        return EX_OSERR;
    }
    self[n] = 0;
    *strrchr(self, '/') = 0;
    snprintf(folder, sizeof folder, "%s/%s", self, WINNOW_LIBEXEC);
    if (stat(folder, &st) || !S_ISDIR(st.st_mode)) snprintf(folder, sizeof folder, "%s", self);

    if (argc < 2) return usage(stderr, folder, EX_USAGE);
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
        return usage(stdout, folder, 0);
    if (!strcmp(argv[1], "--version")) {
        puts("winnow " WINNOW_VERSION);
        return fflush(stdout) || ferror(stdout) ? EX_IOERR : 0;
    }
    for (const char *p = argv[1]; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || *p == '-') || argv[1][0] == '-') {
            fprintf(stderr, "winnow: no program of that name; 'winnow --help' lists them\n");
            return EX_USAGE;
        }
    snprintf(path, sizeof path, "%s/%s", folder, argv[1]);
    if (strcmp(argv[1], "winnow")) execv(path, argv + 1);
    if (!strcmp(argv[1], "run")) { /* in a checkout it is not beside the programs */
        snprintf(path, sizeof path, "%s/../tools/run", folder);
        execv(path, argv + 1);
    }
    fprintf(stderr, "winnow: no program '%s' in %s; 'winnow --help' lists them\n", argv[1], folder);
    return EX_USAGE;
}
