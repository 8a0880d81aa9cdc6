/* The raw reference: how fast this machine starts and reaps programs, with nothing of
 * ours around them.
 *
 *     raw_spawn COUNT AT_ONCE PROGRAM FILE
 *
 * Starts PROGRAM FILE <number> COUNT times by posix_spawn, at most AT_ONCE of them
 * alive, and reaps each. Prints one JSON object: count, seconds, rate, failed. Exit
 * code 0 when every program ended with 0, else 1; 2 when called wrongly.
 */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Starts one; 0, or an errno. */
static int start(char *program, char *file, long number)
{
    char id[24];
    pid_t pid;
    char *arguments[] = {program, file, id, NULL};

    snprintf(id, sizeof id, "%ld", number);
    return posix_spawn(&pid, program, NULL, NULL, arguments, environ);
}

/* Waits for any one; 1 when it failed, else 0. */
static int reap(void)
{
    int status;

    if (wait(&status) < 0)
        return 1;
    return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int argc, char **argv)
{
    long count, at_once, started = 0, ended = 0, failed = 0;
    double began, took;

    if (argc != 5 || (count = atol(argv[1])) < 1 || (at_once = atol(argv[2])) < 1) {
        fprintf(stderr, "usage: raw_spawn COUNT AT_ONCE PROGRAM FILE\n");
        return 2;
    }
    began = seconds_now();
    while (ended < count) {
        if (started < count && started - ended < at_once) {
            if (start(argv[3], argv[4], started++) != 0) {
                failed++;
                ended++;
            }
        } else {
            failed += reap();
            ended++;
        }
    }
    took = seconds_now() - began;
    printf("{\"count\": %ld, \"seconds\": %.6f, \"rate\": %.1f, \"failed\": %ld}\n",
           count, took, (double)count / took, failed);
    return failed != 0;
}
