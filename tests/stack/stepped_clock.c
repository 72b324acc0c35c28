/* A wall clock of a process's own: the machine's, plus the seconds that the first eight bytes of a mapped file say.
   What librdkafka waits for by that clock ends by it too, also where it steps meanwhile, as the kernel has it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>

static const volatile long *step_s;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void open_step(void)
{
    int file = open(getenv("STEPPED_CLOCK"), O_RDONLY);
    void *page = mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    step_s = page == MAP_FAILED ? NULL : page;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!real)
        open_step();
    int failed = real(clock, now);
    if (!failed && step_s && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += *step_s;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now)
{
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now)
        *now = exact.tv_sec;
    return exact.tv_sec;
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until)
{
    static int (*wait)(cnd_t *, mtx_t *, const struct timespec *);
    if (!wait)
        wait = (int (*)(cnd_t *, mtx_t *, const struct timespec *))dlsym(RTLD_NEXT, "cnd_timedwait");
    for (;;) {
        struct timespec stepped, look_again;
        clock_gettime(CLOCK_REALTIME, &stepped);
        real(CLOCK_REALTIME, &look_again);
        long long left_ns = (until->tv_sec - stepped.tv_sec) * 1000000000LL + until->tv_nsec - stepped.tv_nsec;
        int is_last = left_ns <= 1000000000LL;
        long long next_ns = look_again.tv_nsec + (left_ns < 0 ? 0 : is_last ? left_ns : 1000000000LL);
        look_again.tv_sec += next_ns / 1000000000LL;
        look_again.tv_nsec = next_ns % 1000000000LL;
        int outcome = wait(condition, mutex, &look_again);
        if (outcome != thrd_timedout || is_last)
            return outcome;
    }
}
