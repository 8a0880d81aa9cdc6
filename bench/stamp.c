/* The program the bench runs: it tells when its first instruction came.
 *
 *     stamp FILE [ID]      without ID: the run's own KOS_RUN_UID
 *
 * Appends one line of 33 bytes, "ID(11) NANOSECONDS(20)\n", with a single write and
 * O_APPEND, so that a thousand at once never mix. ID is cut to 11 characters. The time
 * is CLOCK_REALTIME, read before anything else. Exit code 0, or 1 when it could not
 * write, 2 when it was called wrongly.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 33

int main(int argc, char **argv)
{
    struct timespec now;
    char line[LINE_BYTES + 1]; /* snprintf closes with a zero */
    const char *id;
    int file, length;

    clock_gettime(CLOCK_REALTIME, &now);
    id = argc == 3 ? argv[2] : getenv("KOS_RUN_UID");
    if (argc < 2 || argc > 3 || !id)
        return 2;
    length = snprintf(line, sizeof line, "%-11.11s %020lld\n", id,
                      now.tv_sec * 1000000000LL + now.tv_nsec);
    file = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || write(file, line, (size_t)length) != length)
        return 1;
    return 0;
}
