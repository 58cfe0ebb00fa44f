/* unplanes: turns NAME.planes, as a Fieldforge bundle holds it, back into NAME. Any C99 compiler:
 *     cc -O2 -o unplanes unplanes.c && ./unplanes FILE.planes...
 *
 * A .planes file, numbers little-endian:
 *   8 bytes  "FFPLN1\0\0"
 *   8 bytes  size of NAME
 *   8 bytes  lead: so many bytes of NAME come first, as they are
 *   4 bytes  block: what follows comes in blocks of so many bytes, the last one shorter
 *   4 bytes  width: bytes of a number
 *   then lead and blocks. Of a block of n bytes first come the first bytes of its n / width numbers, then their
 *   second bytes, and so on; n % width bytes are left and stand at the end as they are.
 * Licensed MIT OR Apache-2.0. No warranty. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long long number(const unsigned char *at, int bytes) {
    unsigned long long value = 0;
    while (bytes-- > 0) value = value << 8 | at[bytes];
    return value;
}

static const char *decode(FILE *in, FILE *out, unsigned char *from, unsigned char *to, size_t room) {
    unsigned char head[32];
    unsigned long long left, lead;
    size_t block, width, n, count, i, plane;
    if (fread(head, 1, 32, in) != 32 || memcmp(head, "FFPLN1\0\0", 8) != 0) return "this is no .planes file";
    left = number(head + 8, 8);
    lead = number(head + 16, 8);
    block = (size_t)number(head + 24, 4);
    width = (size_t)number(head + 28, 4);
    if (lead > left || width < 1 || width > 16 || block < 1 || block > room) return "its header makes no sense";
    while (left > 0) {
        unsigned long long most = lead > 0 ? lead : left;
        n = most < block ? (size_t)most : block;
        if (fread(from, 1, n, in) != n) return "it is cut off: extract it again";
        count = lead > 0 ? 0 : n / width;
        for (plane = 0; plane < width; plane++)
            for (i = 0; i < count; i++) to[i * width + plane] = from[plane * count + i];
        memcpy(to + count * width, from + count * width, n - count * width);
        if (fwrite(to, 1, n, out) != n) return "the new file cannot be written: is the disk full?";
        left -= n;
        if (lead > 0) lead -= n;
    }
    return fgetc(in) == EOF ? NULL : "it goes on behind its end: extract it again";
}

int main(int argc, char **argv) {
    size_t room = (size_t)4 << 20;
    unsigned char *from = malloc(room), *to = malloc(room);
    int at, failed = argc < 2;
    if (argc < 2) fprintf(stderr, "usage: unplanes FILE.planes...\n");
    for (at = 1; at < argc && from && to; at++) {
        const char *why = "its name does not end in .planes";
        size_t length = strlen(argv[at]);
        char *name = calloc(length + 1, 1);
        FILE *in = NULL, *out = NULL;
        if (name && length > 7 && strcmp(argv[at] + length - 7, ".planes") == 0) {
            memcpy(name, argv[at], length - 7);
            if ((out = fopen(name, "rb")) != NULL) why = "the file without .planes is there already";
            else if ((in = fopen(argv[at], "rb")) == NULL) why = "it cannot be read";
            else if ((out = fopen(name, "wb")) == NULL) why = "the new file cannot be made";
            else why = decode(in, out, from, to, room);
            if (out && fclose(out) != 0 && !why) why = "the new file cannot be written: is the disk full?";
            if (in && out && why) remove(name);
            if (in) fclose(in);
        }
        if (why) failed = 1;
        fprintf(why ? stderr : stdout, "%s: %s\n", argv[at], why ? why : "done");
        free(name);
    }
    if (!from || !to) failed = fprintf(stderr, "not enough memory\n") != 0;
    free(from);
    free(to);
    return failed;
}
