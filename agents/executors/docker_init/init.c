/* PID 1 of a container: starts the program and writes down how it truly ended.
 *
 *     /kos/init LIMIT_MS GRACE_MS PROGRAM [ARGUMENT...]     LIMIT_MS -1: no limit
 *
 * Engines tell only 128 + n for a signal, which `exit 137` looks like too. So the wait
 * status goes into /kos/status (256 bytes, rewritten whole):
 *
 *     running CPU_NS                   used before the program began
 *     failed ERRNO WHAT                WHAT: 0 nothing found, 1 a file, 2 a folder
 *     ended STATUS TIMED_OUT OOMS CPU_NS PEAK_BYTES     -1: unknown
 *
 * /kos/control, written outside, says "KILL_AT_NS OUTPUT_BYTES": when it is to be ended
 * (CLOCK_MONOTONIC; 0: never), and how much of each stream stays on disk. SIGTERM has it
 * read at once, otherwise it is read every second. Time limit, grace and the bound on
 * the disk therefore hold although whoever started the container is down.
 *
 * Needs no libc and no file of the image. Build it with ./build after each change.
 */

typedef unsigned long u64;
typedef long s64;

__asm__(
#if defined(__x86_64__)
    ".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n"
    " call begin\n"
#elif defined(__aarch64__)
    ".globl _start\n_start: mov x29, #0\n mov x0, sp\n bl begin\n"
#endif
);

#if defined(__x86_64__)
enum { READ = 0, WRITE = 1, CLOSE = 3, LSEEK = 8, SIGPROCMASK = 14, PREAD = 17,
       PWRITE = 18, CLONE = 56, EXECVE = 59, WAIT4 = 61, KILL = 62, SETSID = 112,
       SIGTIMEDWAIT = 128, PRCTL = 157, CLOCK_GETTIME = 228, EXIT_GROUP = 231,
       OPENAT = 257, FACCESSAT = 269, FALLOCATE = 285, DUP3 = 292, PIPE2 = 293,
       O_DIRECTORY = 0x10000 };
static s64 call(s64 n, u64 a, u64 b, u64 c, u64 d, u64 e)
{
    register u64 r10 __asm__("r10") = d, r8 __asm__("r8") = e;
    s64 result;
    __asm__ volatile("syscall" : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
enum { READ = 63, WRITE = 64, CLOSE = 57, LSEEK = 62, SIGPROCMASK = 135, PREAD = 67,
       PWRITE = 68, CLONE = 220, EXECVE = 221, WAIT4 = 260, KILL = 129, SETSID = 157,
       SIGTIMEDWAIT = 137, PRCTL = 167, CLOCK_GETTIME = 113, EXIT_GROUP = 94,
       OPENAT = 56, FACCESSAT = 48, FALLOCATE = 47, DUP3 = 24, PIPE2 = 59,
       O_DIRECTORY = 0x4000 };
static s64 call(s64 n, u64 a, u64 b, u64 c, u64 d, u64 e)
{
    register u64 x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b,
                 x2 __asm__("x2") = c, x3 __asm__("x3") = d, x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
                     : "memory");
    return x0;
}
#else
#error "no system calls known for this machine"
#endif
#define SYS(n, a, b, c, d, e) \
    call(n, (u64)(a), (u64)(b), (u64)(c), (u64)(d), (u64)(e))

enum { O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_APPEND = 02000, O_CLOEXEC = 02000000,
       HERE = -100, TERM = 15, KILLED = 9, CHILD = 17, CONTINUE = 18, STOP = 19,
       PLEASE_STOP = 60, ENOENT = 2, EINTR = 4, ECHILD = 10, EACCES = 13, ENOTDIR = 20,
       NOHANG = 1, PUNCH_KEEPING_SIZE = 3, BLOCK = 4096, STATUS_BYTES = 256,
       MOST_PATH = 4096, PR_SET_DUMPABLE = 4, MONOTONIC = 1 };
static const s64 MS = 1000000, SECOND = 1000000000, NEVER = 0x7fffffffffffffff;
static const s64 SLACK_BYTES = 64 << 20; /* whoever started us cuts before that */

__attribute__((used)) static const char made_of[] = "kos-init " SOURCE;

struct stream { const char *path; int fd; s64 size, hole_end; };
static struct stream streams[2] = {{"/kos/out", -1, 0, 0}, {"/kos/err", -1, 0, 0}};
static int status_fd, control_fd, timed_out, asked;
static s64 program, cpu_before, kill_at, limit_at, grace, output_bytes;

static void leave(int code)
{
    for (;;)
        SYS(EXIT_GROUP, code, 0, 0, 0, 0);
}

static s64 now(void)
{
    s64 time[2] = {0, 0};
    SYS(CLOCK_GETTIME, MONOTONIC, time, 0, 0, 0);
    return time[0] * SECOND + time[1];
}

static s64 least(s64 a, s64 b) { return a < b ? a : b; }

/* The number at *text, which is moved behind it; -1 when there is none. */
static s64 number(const char **text)
{
    const char *at = *text;
    s64 value = 0;
    while (*at == ' ')
        at++;
    if (*at < '0' || *at > '9')
        return -1;
    for (; *at >= '0' && *at <= '9'; at++)
        value = value * 10 + (*at - '0');
    *text = at;
    return value;
}

static char *put_text(char *at, const char *text)
{
    while (*text)
        *at++ = *text++;
    return at;
}

static char *put(char *at, s64 value)
{
    char digits[24];
    int count = 0;
    *at++ = ' ';
    if (value < 0)
        return put_text(at, "-1");
    do
        digits[count++] = '0' + value % 10;
    while (value /= 10);
    while (count)
        *at++ = digits[--count];
    return at;
}

static void report(char *line, char *end)
{
    while (end < line + STATUS_BYTES - 1)
        *end++ = ' ';
    *end = '\n';
    while (SYS(PWRITE, status_fd, line, STATUS_BYTES, 0, 0) == -EINTR)
        ;
}

/* The number behind `name` in a file, or the first one when `name` is empty. */
static s64 number_in(const char *path, const char *name)
{
    char text[2048];
    int fd = SYS(OPENAT, HERE, path, O_RDONLY | O_CLOEXEC, 0, 0);
    if (fd < 0)
        return -1;
    s64 length = SYS(READ, fd, text, sizeof text - 1, 0, 0);
    SYS(CLOSE, fd, 0, 0, 0, 0);
    text[length < 0 ? 0 : length] = 0;
    for (const char *at = text; *at; at++) {
        const char *a = at, *n = name;
        while (*n && *a == *n)
            a++, n++;
        if (!*n && (at == text || at[-1] == '\n'))
            return number(&a);
    }
    return -1;
}

static s64 either(s64 first, s64 second) { return first >= 0 ? first : second; }

static s64 cpu_ns(void)
{
    s64 us = number_in("/sys/fs/cgroup/cpu.stat", "usage_usec ");
    return either(us < 0 ? -1 : us * 1000,
                  number_in("/sys/fs/cgroup/cpuacct/cpuacct.usage", ""));
}

static void report_end(int status)
{
    char line[STATUS_BYTES], *at = put(put_text(line, "ended"), status);
    s64 cpu = cpu_ns();
    at = put(at, timed_out);
    at = put(at, either(number_in("/sys/fs/cgroup/memory.events", "oom_kill "),
                        number_in("/sys/fs/cgroup/memory/memory.oom_control",
                                  "oom_kill ")));
    at = put(at, cpu < 0 || cpu_before < 0 ? -1 : cpu - cpu_before);
    at = put(at, either(number_in("/sys/fs/cgroup/memory.peak", ""),
                        number_in("/sys/fs/cgroup/memory/"
                                  "memory.max_usage_in_bytes", "")));
    report(line, at);
}

/* -- starting ---------------------------------------------------------------------- */

/* Returns only when nothing could be run: ERRNO * 4 + WHAT, the worst of all tries. */
static s64 try_path(const char *path, char **argv, char **env)
{
    s64 error = -SYS(EXECVE, path, argv, env, 0, 0);
    int folder = SYS(OPENAT, HERE, path, O_DIRECTORY | O_CLOEXEC, 0, 0) >= 0;
    int file = SYS(FACCESSAT, HERE, path, 0, 0, 0) == 0;
    return error * 4 + (folder ? 2 : file);
}

static s64 try_all(const char *places, char **argv, char **env)
{
    char path[MOST_PATH];
    s64 failed = ENOENT * 4;
    for (;;) {
        char *at = path;
        while (*places && *places != ':' && at < path + MOST_PATH / 2)
            *at++ = *places++;
        if (at > path)
            *at++ = '/';
        for (const char *name = argv[0]; *name && at < path + MOST_PATH - 1;)
            *at++ = *name++;
        *at = 0;
        s64 result = try_path(path, argv, env);
        if (result % 4 == 1)
            failed = result;
        if (result % 4 == 1 && result / 4 != EACCES)
            return failed;
        while (*places && *places != ':')
            places++;
        if (!*places++)
            return failed;
    }
}

static s64 run(char **argv, char **env)
{
    const char *places = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (const char *at = argv[0]; *at; at++)
        if (*at == '/')
            return try_path(argv[0], argv, env);
    for (char **entry = env; *entry; entry++) {
        char *v = *entry;
        if (v[0] == 'P' && v[1] == 'A' && v[2] == 'T' && v[3] == 'H' && v[4] == '=')
            places = v + 5;
    }
    return try_all(places, argv, env);
}

static void be_the_program(int told, char **argv, char **env)
{
    u64 none = 0;
    SYS(SETSID, 0, 0, 0, 0, 0);
    SYS(SIGPROCMASK, 2, &none, 0, sizeof none, 0);
    for (int i = 0; i < 2; i++)
        SYS(DUP3, streams[i].fd, i + 1, 0, 0, 0);
    s64 failed = run(argv, env);
    SYS(WRITE, told, &failed, sizeof failed, 0, 0);
    leave(127);
}

/* Returns once the program runs; ends with us when it cannot. */
static void start(char **argv, char **env)
{
    int ends[2];
    s64 failed = 0, length;
    SYS(PIPE2, ends, O_CLOEXEC, 0, 0, 0);
    cpu_before = cpu_ns();
    program = SYS(CLONE, CHILD, 0, 0, 0, 0);
    if (program == 0)
        be_the_program(ends[1], argv, env);
    SYS(CLOSE, ends[1], 0, 0, 0, 0);
    if (program < 0)
        failed = -program * 4 + 1;
    else
        do
            length = SYS(READ, ends[0], &failed, sizeof failed, 0, 0);
        while (length == -EINTR);
    SYS(CLOSE, ends[0], 0, 0, 0, 0);
    char line[STATUS_BYTES];
    if (failed) {
        report(line, put(put(put_text(line, "failed"), failed / 4), failed % 4));
        leave(127);
    }
    report(line, put(put_text(line, "running"), cpu_before));
}

/* -- running ----------------------------------------------------------------------- */

static void ask_all_to_end(void)
{
    if (!asked) {
        SYS(KILL, -1, TERM, 0, 0, 0);
        SYS(KILL, -1, CONTINUE, 0, 0, 0);
    }
    asked = 1;
}

/* Whether it is to be ended some time. */
static int read_control(void)
{
    char text[64];
    const char *at = text;
    s64 length = SYS(PREAD, control_fd, text, sizeof text - 1, 0, 0);
    text[length < 0 ? 0 : length] = 0;
    s64 end_at = number(&at), bytes = number(&at);
    if (bytes > 0)
        output_bytes = bytes;
    if (end_at <= 0)
        return 0;
    kill_at = least(kill_at, end_at);
    ask_all_to_end();
    return 1;
}

static void cut(struct stream *s)
{
    s64 start = output_bytes / 2 / BLOCK * BLOCK;
    s64 end = (s->size - output_bytes / 2) / BLOCK * BLOCK;
    s64 from = s->hole_end > start ? s->hole_end : start;
    if (s->size - from < output_bytes + SLACK_BYTES || end <= from)
        return;
    if (SYS(FALLOCATE, s->fd, PUNCH_KEEPING_SIZE, from, end - from, 0) == 0)
        s->hole_end = end;
}

/* Returns whether the program wrote since the last time. */
static int look_at_output(void)
{
    int grew = 0;
    for (int i = 0; i < 2; i++) {
        s64 size = SYS(LSEEK, streams[i].fd, 0, 2, 0, 0);
        grew |= size != streams[i].size;
        streams[i].size = size;
        cut(&streams[i]);
    }
    return grew;
}

static void keep_time(void)
{
    s64 at = now();
    if (at >= limit_at && !timed_out) {
        timed_out = 1;
        kill_at = least(kill_at, at + grace);
        ask_all_to_end();
    }
    if (at >= kill_at)
        SYS(KILL, -1, KILLED, 0, 0, 0);
}

static int wait_for_signal(s64 most)
{
    s64 at = now(), due = least(kill_at, timed_out ? NEVER : limit_at);
    s64 left = least(most, due - at);
    u64 all = ~0UL;
    if (left < MS) /* to be killed and not gone yet: dying takes about that long */
        left = MS;
    s64 time[2] = {left / SECOND, left % SECOND};
    return SYS(SIGTIMEDWAIT, &all, 0, time, sizeof all, 0);
}

static void pass_on(int signal)
{
    if (signal == TERM && read_control())
        return;
    SYS(KILL, -program, signal == PLEASE_STOP ? STOP : signal, 0, 0, 0);
}

/* The program's wait status once it ended, else -1. Reaps everything that ended. */
static s64 reap(void)
{
    s64 found = -1, pid;
    int status;
    while ((pid = SYS(WAIT4, -1, &status, NOHANG, 0, 0)) > 0)
        if (pid == program)
            found = status;
    return found;
}

static void end_the_rest(void)
{
    s64 give_up = now() + 10 * SECOND;
    int status;
    while (now() < give_up) {
        SYS(KILL, -1, KILLED, 0, 0, 0);
        s64 pid = SYS(WAIT4, -1, &status, NOHANG, 0, 0);
        if (pid == -ECHILD)
            return;
        if (pid == 0)
            wait_for_signal(MS);
    }
}

static int watch(void)
{
    s64 status = -1, most = SECOND;
    read_control();
    while ((status = reap()) < 0) {
        int signal = wait_for_signal(most);
        if (signal > 0 && signal != CHILD)
            pass_on(signal);
        if (signal <= 0) {
            read_control();
            most = look_at_output() ? SECOND / 4 : SECOND;
        }
        keep_time();
    }
    return status;
}

__attribute__((used, noreturn)) void begin(u64 *stack)
{
    char **argv = (char **)(stack + 1), **env = argv + stack[0] + 1;
    u64 all = ~0UL;
    if (stack[0] < 4)
        leave(126);
    const char *limit_ms = argv[1], *grace_ms = argv[2];
    SYS(PRCTL, PR_SET_DUMPABLE, 0, 0, 0, 0);
    SYS(SIGPROCMASK, 0, &all, 0, sizeof all, 0);
    status_fd = SYS(OPENAT, HERE, "/kos/status", O_RDWR | O_CLOEXEC, 0, 0);
    control_fd = SYS(OPENAT, HERE, "/kos/control", O_RDONLY | O_CLOEXEC, 0, 0);
    for (int i = 0; i < 2; i++)
        streams[i].fd = SYS(OPENAT, HERE, streams[i].path,
                            O_WRONLY | O_APPEND | O_CLOEXEC, 0, 0);
    if (status_fd < 0 || control_fd < 0 || streams[0].fd < 0 || streams[1].fd < 0)
        leave(125);
    s64 limit = number(&limit_ms);
    grace = number(&grace_ms) * MS;
    start(argv + 3, env);
    limit_at = limit < 0 ? NEVER : now() + limit * MS;
    kill_at = NEVER;
    output_bytes = 64 << 20;
    int status = watch();
    end_the_rest();
    report_end(status);
    leave(status & 127 ? 128 + (status & 127) : status >> 8);
    __builtin_unreachable();
}
