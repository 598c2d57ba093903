/* SPDX-License-Identifier: MIT */
/* ask.c - the assembler of the machine that runs the tests: has the host run it.
 *
 * There is no clang where the tests run, in QEMU. This stands in its place, under
 * its name: it sends its arguments and its input out by the console, and gets back
 * by the same way how the host's clang ended, its output and its messages
 * (host.lua). Each is a word of base64:
 *
 *   0x01 "ask" name argument... "<" input        one line to the host
 *   status output messages                       one line from it
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct text {
    char *bytes;
    size_t size, room;
};

static void die(const char *what)
{
    perror(what);
    exit(125);
}

static void put(struct text *t, char byte)
{
    if (t->size == t->room) {
        t->room = 2 * t->room + 4096;
        t->bytes = realloc(t->bytes, t->room);
        if (!t->bytes)
            die("ask: memory");
    }
    t->bytes[t->size++] = byte;
}

static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void put_word(struct text *t, const char *from, size_t size)
{
    put(t, ' ');
    for (size_t i = 0; i < size; i += 3) {
        unsigned long bits = 0;
        size_t n = size - i < 3 ? size - i : 3;

        for (size_t j = 0; j < 3; j++)
            bits = bits << 8 | (j < n ? (unsigned char)from[i + j] : 0);
        for (size_t j = 0; j < 4; j++)
            put(t, (char)(j > n ? '=' : digits[bits >> (18 - 6 * j) & 63]));
    }
    if (size == 0)
        put(t, '=');
}

/* The next word of *from, decoded. */
static struct text word(char **from)
{
    struct text t = {0};
    unsigned long bits = 0;
    unsigned held = 0;
    const char *digit;

    for (; **from > ' '; ++*from) {
        digit = strchr(digits, **from);
        if (!digit)
            continue;
        bits = bits << 6 | (unsigned long)(digit - digits);
        held += 6;
        if (held >= 8)
            put(&t, (char)(bits >> (held -= 8)));
    }
    if (**from == ' ')
        ++*from;
    return t;
}

static void send_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);

        if (n < 0)
            die("ask: write");
        bytes += n;
        size -= (size_t)n;
    }
}

static void send_word(int fd, char **from)
{
    struct text t = word(from);

    send_all(fd, t.bytes, t.size);
    free(t.bytes);
}

/* All of it, or up to the end of a line. */
static struct text receive(int fd, int line)
{
    struct text t = {0};
    char piece[4096];
    ssize_t n;

    while ((n = read(fd, piece, line ? sizeof piece : 1024)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            put(&t, piece[i]);
        if (line && piece[n - 1] == '\n')
            break;
    }
    if (n < 0)
        die("ask: read");
    put(&t, '\0');
    t.size--;
    return t;
}

int main(int argc, char **argv)
{
    int console = open("/dev/console", O_RDWR | O_NOCTTY);
    int lock = open("/tmp/ask.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const char *name = strrchr(argv[0], '/');
    struct text request = {0}, input = receive(0, 0), reply, status;
    char *from;
    int result;

    if (console < 0 || lock < 0)
        die("ask: /dev/console, /tmp/ask.lock");
    name = name ? name + 1 : argv[0];
    put(&request, 1);
    put_word(&request, name, strlen(name));
    for (int i = 1; i < argc; i++)
        put_word(&request, argv[i], strlen(argv[i]));
    put_word(&request, input.bytes, input.size);
    put(&request, '\n');
    flock(lock, LOCK_EX);
    send_all(console, request.bytes, request.size);
    free(request.bytes);
    free(input.bytes);
    reply = receive(console, 1);
    from = reply.bytes;
    status = word(&from);
    send_word(1, &from);
    send_word(2, &from);
    put(&status, '\0');
    result = atoi(status.bytes);
    free(status.bytes);
    free(reply.bytes);
    return result;
}
