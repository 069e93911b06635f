// Measures P-256 signatures by a PKCS#11 library, each thread in a session of its own.
// usage: pkcs11 LIBRARY PIN LABEL TOTAL THREADS    prints signatures per second, and microseconds: median, 99th percentile
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pkcs11.h>

#define MAX_THREADS 64

static CK_FUNCTION_LIST *api;
static CK_SLOT_ID slot;
static CK_UTF8CHAR *label;
static double *times;
static int each;
static pthread_barrier_t ready;

static void check(CK_RV r, const char *what) {
  if (r == CKR_OK) return;
  fprintf(stderr, "%s: 0x%lx\n", what, r);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static CK_SESSION_HANDLE open_session(void) {
  CK_SESSION_HANDLE session;
  check(api->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session), "C_OpenSession");
  return session;
}

static CK_OBJECT_HANDLE find_key(CK_SESSION_HANDLE session) {
  CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
  CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &class, sizeof class}, {CKA_LABEL, label, strlen((char *)label)}};
  CK_OBJECT_HANDLE key;
  CK_ULONG found = 0;
  check(api->C_FindObjectsInit(session, wanted, 2), "C_FindObjectsInit");
  check(api->C_FindObjects(session, &key, 1, &found), "C_FindObjects");
  check(api->C_FindObjectsFinal(session), "C_FindObjectsFinal");
  check(found == 1 ? CKR_OK : CKR_KEY_HANDLE_INVALID, "key");
  return key;
}

static void sign(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key) {
  CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
  CK_BYTE digest[32] = {1}, signature[64];
  CK_ULONG size = sizeof signature;
  check(api->C_SignInit(session, &mechanism, key), "C_SignInit");
  check(api->C_Sign(session, digest, sizeof digest, signature, &size), "C_Sign");
}

static void *work(void *first) {
  double *mine = first;
  CK_SESSION_HANDLE session = open_session();
  CK_OBJECT_HANDLE key = find_key(session);
  for (int i = 0; i < 50; i++) sign(session, key);
  pthread_barrier_wait(&ready);
  for (int i = 0; i < each; i++) {
    double start = now();
    sign(session, key);
    mine[i] = (now() - start) * 1e6;
  }
  pthread_barrier_wait(&ready);
  return NULL;
}

static void load(const char *path) {
  void *library = dlopen(path, RTLD_NOW);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  CK_C_GetFunctionList list;
  *(void **)&list = dlsym(library, "C_GetFunctionList");
  check(list == NULL ? CKR_FUNCTION_FAILED : list(&api), "C_GetFunctionList");
}

static void log_in(const char *pin) {
  CK_C_INITIALIZE_ARGS threads = {.flags = CKF_OS_LOCKING_OK};
  CK_SLOT_ID slots[8];
  CK_ULONG count = 8;
  check(api->C_Initialize(&threads), "C_Initialize");
  check(api->C_GetSlotList(CK_TRUE, slots, &count), "C_GetSlotList");
  slot = slots[0];
  check(api->C_Login(open_session(), CKU_USER, (CK_UTF8CHAR *)pin, strlen(pin)), "C_Login");
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int count, char **args) {
  pthread_t workers[MAX_THREADS];
  if (count < 6) return 2;
  label = (CK_UTF8CHAR *)args[3];
  int threads = atoi(args[5]);
  if (threads < 1 || threads > MAX_THREADS) return 2;
  each = atoi(args[4]) / threads;
  size_t total = (size_t)each * (size_t)threads;
  times = calloc(total, sizeof *times);
  load(args[1]);
  log_in(args[2]);
  pthread_barrier_init(&ready, NULL, (unsigned)threads + 1);
  for (int i = 0; i < threads; i++) pthread_create(&workers[i], NULL, work, times + i * each);
  pthread_barrier_wait(&ready);
  double start = now();
  pthread_barrier_wait(&ready);
  double seconds = now() - start;
  for (int i = 0; i < threads; i++) pthread_join(workers[i], NULL);
  qsort(times, total, sizeof *times, by_size);
  printf("%.0f %.1f %.1f\n", (double)total / seconds, times[total / 2], times[total * 99 / 100]);
  return 0;
}
