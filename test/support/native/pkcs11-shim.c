/*
 * A PKCS#11 library that forwards every call to another one and misbehaves on command. Its files are in the directory
 * $PKCS11_SHIM/NAME, where NAME is its own file name without `.so`, so that copies of it are libraries of their own:
 *
 *   target   the path of the library behind it
 *   softhsm  the value of SOFTHSM2_CONF for that library
 *   control  commands, read at every call: `FUNCTION WHAT [NUMBER] [times COUNT]`, one a line
 *   calls    a line for every call: the name of its function
 *   returned the same for every call that returned
 *   used-*   how often a command with a COUNT was obeyed, by all processes, a byte each
 *
 * WHAT: `sleep MS`, `hang`, `abort`, `segfault`, `return CKR`, `garbage` (impossible results), `length N` (a result with
 * another length), `write FD` (bytes into a descriptor of the process, which the library behind cannot know).
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pkcs11.h"

enum function {
#define CK_PKCS11_FUNCTION_INFO(name) INDEX_##name,
#include "pkcs11f.h"
#undef CK_PKCS11_FUNCTION_INFO
  FUNCTION_COUNT
};

static const char *const names[] = {
#define CK_PKCS11_FUNCTION_INFO(name) #name,
#include "pkcs11f.h"
#undef CK_PKCS11_FUNCTION_INFO
};

/*
 * Arguments are pointers, CK_ULONG and CK_BBOOL, at most eight: all are passed as words, and a function with fewer does
 * not look at the rest. That is so on x86-64 and arm64.
 */
typedef uintptr_t word;
struct arguments {
  word at[8];
};
typedef CK_RV any_function(word, word, word, word, word, word, word, word);

struct command {
  char what[16];
  unsigned long number, times;
};

#define NO_SUCH_RESULT ((CK_RV)0xdeadbeef)
/* too large in 32 bits, too */
#define HUGE_LENGTH (((CK_ULONG)1 << 40) + (1 << 20))

static char directory[PATH_MAX];
static any_function *targets[FUNCTION_COUNT];
static CK_FUNCTION_LIST own_functions;

static void die(const char *what)
{
  fprintf(stderr, "pkcs11-shim: %s (%s)\n", what, directory);
  abort();
}

static int open_file(const char *name, int flags)
{
  char path[PATH_MAX + 64];

  snprintf(path, sizeof path, "%s/%s", directory, name);
  return open(path, flags | O_CLOEXEC, 0644);
}

/* Returns the length, or -1 when the file is missing; the text is without its last line break. */
static ssize_t read_file(const char *name, char *text, size_t size)
{
  int fd = open_file(name, O_RDONLY);
  ssize_t length;

  if (fd < 0) return -1;
  length = read(fd, text, size - 1);
  close(fd);
  if (length < 0) return -1;
  if (length > 0 && text[length - 1] == '\n') length--;
  text[length] = '\0';
  return length;
}

static void count_call(const char *file, enum function function)
{
  char line[64];
  int length = snprintf(line, sizeof line, "%s\n", names[function]), fd = open_file(file, O_WRONLY | O_CREAT | O_APPEND);

  if (fd < 0 || write(fd, line, (size_t)length) != length) die("a call cannot be counted");
  close(fd);
}

/* Whether a command has been obeyed less often than it says. */
static bool take_turn(enum function function, const struct command *command)
{
  char name[64];
  off_t used;
  int fd;

  if (command->times == 0) return true;
  snprintf(name, sizeof name, "used-%s", names[function]);
  fd = open_file(name, O_WRONLY | O_CREAT | O_APPEND);
  if (fd < 0 || write(fd, "x", 1) != 1) die("a turn cannot be counted");
  /* what others append meanwhile does not move the position of this descriptor */
  used = lseek(fd, 0, SEEK_CUR);
  close(fd);
  return used >= 0 && (unsigned long)used <= command->times;
}

static bool find_command(enum function function, struct command *command)
{
  char text[4096], *line, *rest = text, name[64], count[8];

  if (read_file("control", text, sizeof text) < 0) return false;
  while ((line = strsep(&rest, "\n")) != NULL) {
    *command = (struct command){.what = ""};
    if (sscanf(line, "%63s %15s", name, command->what) != 2 || strcmp(name, names[function]) != 0) continue;
    if (sscanf(line, "%*s %*s %li", (long *)&command->number) != 1) command->number = 0;
    line = strstr(line, " times ");
    if (line != NULL && sscanf(line, " %7s %lu", count, &command->times) != 2) die("a command has no count");
    return take_turn(function, command);
  }
  return false;
}

static void sleep_for(unsigned long milliseconds)
{
  struct timespec left = {
    .tv_sec = (time_t)(milliseconds / 1000),
    .tv_nsec = (long)(milliseconds % 1000) * 1000000,
  };

  while (nanosleep(&left, &left) != 0)
    ;
}

/* The argument that receives the length or number of results, or -1. */
static int length_argument(enum function function)
{
  switch (function) {
  case INDEX_C_GetSlotList:
  case INDEX_C_GetMechanismList:
  case INDEX_C_SignFinal:
  case INDEX_C_DigestFinal:
    return 2;
  case INDEX_C_FindObjects:
    return 3;
  case INDEX_C_Sign:
  case INDEX_C_Encrypt:
  case INDEX_C_Decrypt:
  case INDEX_C_Digest:
    return 4;
  default:
    return -1;
  }
}

/* The size of the structure that the second argument points to, or 0. */
static size_t structure_size(enum function function)
{
  switch (function) {
  case INDEX_C_GetSlotInfo:
    return sizeof(CK_SLOT_INFO);
  case INDEX_C_GetTokenInfo:
    return sizeof(CK_TOKEN_INFO);
  case INDEX_C_GetSessionInfo:
    return sizeof(CK_SESSION_INFO);
  default:
    return 0;
  }
}

static CK_RV with_length(enum function function, const struct arguments *arguments, CK_ULONG length)
{
  int at = length_argument(function);
  CK_ATTRIBUTE *attributes = (CK_ATTRIBUTE *)arguments->at[2];

  if (function == INDEX_C_GetAttributeValue)
    for (CK_ULONG i = 0; i < arguments->at[3]; i++) attributes[i].ulValueLen = length;
  else if (at < 0)
    die("a function has no length");
  else if (arguments->at[at] != 0)
    *(CK_ULONG *)arguments->at[at] = length;
  return CKR_OK;
}

/* A function without results returns what PKCS#11 does not know. */
static CK_RV garbage(enum function function, const struct arguments *arguments)
{
  size_t size = structure_size(function);

  if (size > 0)
    memset((void *)arguments->at[1], 0xff, size);
  else if (function == INDEX_C_OpenSession)
    *(CK_SESSION_HANDLE *)arguments->at[4] = (CK_SESSION_HANDLE)-1;
  else if (function == INDEX_C_GetAttributeValue || length_argument(function) >= 0)
    return with_length(function, arguments, HUGE_LENGTH);
  else
    return NO_SUCH_RESULT;
  return CKR_OK;
}

static CK_RV forward(enum function function, const struct arguments *arguments)
{
  const word *at = arguments->at;

  return targets[function](at[0], at[1], at[2], at[3], at[4], at[5], at[6], at[7]);
}

static CK_RV misbehave(enum function function, const struct arguments *arguments, const struct command *command)
{
  static const char bytes[] = "these bytes are no message of anybody";
  CK_RV result;

  if (strcmp(command->what, "return") == 0) return command->number;
  if (strcmp(command->what, "abort") == 0) abort();
  if (strcmp(command->what, "segfault") == 0) raise(SIGSEGV);
  if (strcmp(command->what, "hang") == 0)
    for (;;) pause();
  if (strcmp(command->what, "sleep") == 0) sleep_for(command->number);
  if (strcmp(command->what, "write") == 0 && write((int)command->number, bytes, sizeof bytes) < 0) die("it cannot write");
  result = forward(function, arguments);
  if (result != CKR_OK) return result;
  if (strcmp(command->what, "length") == 0) return with_length(function, arguments, command->number);
  return strcmp(command->what, "garbage") == 0 ? garbage(function, arguments) : result;
}

static CK_RV intercept(enum function function, struct arguments arguments)
{
  struct command command;
  CK_RV result;

  count_call("calls", function);
  result = find_command(function, &command) ? misbehave(function, &arguments, &command) : forward(function, &arguments);
  count_call("returned", function);
  return result;
}

#define CK_PKCS11_FUNCTION_INFO(name) \
  static CK_RV intercept_##name(word a, word b, word c, word d, word e, word f, word g, word h) \
  { \
    return intercept(INDEX_##name, (struct arguments){{a, b, c, d, e, f, g, h}}); \
  }
#include "pkcs11f.h"
#undef CK_PKCS11_FUNCTION_INFO

static void find_directory(void)
{
  Dl_info info;
  const char *root = getenv("PKCS11_SHIM"), *name;
  char *dot;

  if (root == NULL || dladdr(&own_functions, &info) == 0) die("PKCS11_SHIM is not set");
  name = strrchr(info.dli_fname, '/');
  snprintf(directory, sizeof directory, "%s/%s", root, name == NULL ? info.dli_fname : name + 1);
  dot = strrchr(directory, '.');
  if (dot != NULL) *dot = '\0';
}

static CK_FUNCTION_LIST *load_target(void)
{
  char path[PATH_MAX], softhsm[PATH_MAX];
  void *handle;
  CK_C_GetFunctionList get;
  CK_FUNCTION_LIST *list;

  if (read_file("softhsm", softhsm, sizeof softhsm) > 0) setenv("SOFTHSM2_CONF", softhsm, 1);
  if (read_file("target", path, sizeof path) <= 0) die("there is no target");
  handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL) die(dlerror());
  *(void **)&get = dlsym(handle, "C_GetFunctionList");
  if (get == NULL || get(&list) != CKR_OK) die("the target has no functions");
  return list;
}

static void load(void)
{
  CK_FUNCTION_LIST *list;

  find_directory();
  list = load_target();
  own_functions.version = list->version;
#define CK_PKCS11_FUNCTION_INFO(name) \
  targets[INDEX_##name] = (any_function *)list->name; \
  own_functions.name = (CK_##name)intercept_##name;
#include "pkcs11f.h"
#undef CK_PKCS11_FUNCTION_INFO
}

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
  if (directory[0] == '\0') load();
  *list = &own_functions;
  return CKR_OK;
}
