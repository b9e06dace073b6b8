#define _GNU_SOURCE  // syscall
#include "CProcess.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

extern char **environ;

pid_t unroll_fork(void) { return fork(); }

// Returns false if the path of this program is not known.
static bool find_program(char *path, size_t size) {
#ifdef __APPLE__
  uint32_t capacity = (uint32_t)size;
  return _NSGetExecutablePath(path, &capacity) == 0;
#else
  ssize_t length = readlink("/proc/self/exe", path, size - 1);
  if (length < 0) return false;
  path[length] = 0;
  return true;
#endif
}

pid_t unroll_start_again(char *const arguments[], int standard_error) {
  char program[PATH_MAX];
  if (!find_program(program, sizeof program)) return -1;
  posix_spawn_file_actions_t actions;
  int code = posix_spawn_file_actions_init(&actions);
  if (code == 0) {
    code = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (code == 0) code = posix_spawn_file_actions_adddup2(&actions, standard_error, STDERR_FILENO);
    pid_t child;
    if (code == 0) code = posix_spawn(&child, program, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (code == 0) return child;
  }
  errno = code;
  return -1;
}

int unroll_wait_signal(int status) { return WIFSIGNALED(status) ? WTERMSIG(status) : 0; }

int unroll_wait_exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -1; }

static void close_descriptors(unsigned first, unsigned last) {
  if (first > last) return;
#ifdef SYS_close_range
  if (syscall(SYS_close_range, first, last, 0) == 0) return;
#endif
  // No process of ours has more; the limit of the system can be a thousand million.
  for (unsigned number = first; number <= last && number < 4096; number++) close((int)number);
}

void unroll_close_descriptors_but(int kept, int also_kept) {
  int low = kept < also_kept ? kept : also_kept, high = kept < also_kept ? also_kept : kept;
  unsigned first = 3;
  if (low >= 3) {
    close_descriptors(first, (unsigned)low - 1);
    first = (unsigned)low + 1;
  }
  if (high >= (int)first) {
    close_descriptors(first, (unsigned)high - 1);
    first = (unsigned)high + 1;
  }
  close_descriptors(first, ~0u);
}

void unroll_limit_work(double seconds) {
  signal(SIGPROF, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPROF);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  struct itimerval timer = {
      .it_value = {.tv_sec = (time_t)seconds,
                   .tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)}};
  setitimer(ITIMER_PROF, &timer, NULL);
}

static volatile sig_atomic_t asked_to_stop;

// Two signals that come closer than this are one wish: a terminal, a shell and `timeout` may each pass one on.
static const double one_wish = 0.5;
static struct timespec first_request;

static void note_request(int number) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (!asked_to_stop) {
    first_request = now;
    asked_to_stop = 1;
    return;
  }
  double seconds = (double)(now.tv_sec - first_request.tv_sec) + 1e-9 * (double)(now.tv_nsec - first_request.tv_nsec);
  if (number != SIGINT || seconds < one_wish) return;
  // A person who presses Ctrl-C again means it.
  signal(SIGINT, SIG_DFL);
  raise(SIGINT);
}

void unroll_catch_requests_to_stop(void) {
  struct sigaction action = {.sa_handler = note_request, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  // One at a time, as they share a clock.
  sigaddset(&action.sa_mask, SIGINT);
  sigaddset(&action.sa_mask, SIGTERM);
  sigaddset(&action.sa_mask, SIGHUP);
  sigaddset(&action.sa_mask, SIGUSR1);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGUSR1, &action, NULL);
  // The end of a terminal or of a connection, unless `nohup` or the like wants it to mean nothing.
  struct sigaction hangup;
  if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
    sigaction(SIGHUP, &action, NULL);
  // Who started us may have blocked them, as threads of a dispatch queue do for their children.
  sigset_t requests;
  sigemptyset(&requests);
  sigaddset(&requests, SIGINT);
  sigaddset(&requests, SIGTERM);
  sigaddset(&requests, SIGHUP);
  sigaddset(&requests, SIGUSR1);
  sigprocmask(SIG_UNBLOCK, &requests, NULL);
}

bool unroll_asked_to_stop(void) { return asked_to_stop != 0; }

int unroll_finish_stdout(void) { return fflush(stdout) == 0 && ferror(stdout) == 0 ? 0 : -1; }

// MARK: - A line that tells what takes so long

static char task[256];
static size_t task_length;
static bool task_is_on_terminal, task_was_shown;
static time_t task_start;

static void write_all(const char *text, size_t length) {
  while (length > 0) {
    ssize_t count = write(STDERR_FILENO, text, length);
    if (count <= 0) return;
    text += count;
    length -= (size_t)count;
  }
}

// Only what may be called at any moment: no allocation, no lock, no formatting.
static void show_task(int number) {
  (void)number;
  int saved = errno;
  char line[sizeof task + 32];
  size_t end = 0;
  if (task_is_on_terminal) {
    memcpy(line, "\r\033[K", 4);
    end = 4;
  }
  memcpy(line + end, task, task_length);
  end += task_length;
  line[end++] = ':';
  line[end++] = ' ';
  char digits[20];
  int digit_count = 0;
  long seconds = (long)(time(NULL) - task_start);
  do digits[digit_count++] = (char)('0' + seconds % 10);
  while ((seconds /= 10) > 0 && digit_count < 20);
  while (digit_count > 0) line[end++] = digits[--digit_count];
  line[end++] = ' ';
  line[end++] = 's';
  if (!task_is_on_terminal) line[end++] = '\n';
  write_all(line, end);
  task_was_shown = true;
  errno = saved;
}

void unroll_begin_task(const char *text, bool is_on_terminal) {
  task_length = strnlen(text, sizeof task);
  memcpy(task, text, task_length);
  task_is_on_terminal = is_on_terminal;
  task_was_shown = false;
  task_start = time(NULL);
  struct sigaction action = {.sa_handler = show_task, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaction(SIGALRM, &action, NULL);
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  sigprocmask(SIG_UNBLOCK, &alarm, NULL);
  // A timer and no thread: a reader can still be forked. Its process has no timer.
  struct itimerval timer = {.it_value = {.tv_sec = 2}, .it_interval = {.tv_sec = is_on_terminal ? 1 : 10}};
  setitimer(ITIMER_REAL, &timer, NULL);
}

void unroll_end_task(void) {
  struct itimerval off = {0};
  setitimer(ITIMER_REAL, &off, NULL);
  if (task_was_shown && task_is_on_terminal) write_all("\r\033[K", 4);
  task_was_shown = false;
}
