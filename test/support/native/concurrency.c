/*
 * Signs with `iotedge:<id>` in several threads at once, then in a forked child and its parent at once. Exits 0 when
 * every signature verifies.
 *
 * usage: concurrency KEY_ID
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/store.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 6
#define ROUNDS 4

static EVP_PKEY *load(const char *uri)
{
  OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
  OSSL_STORE_INFO *info = store == NULL ? NULL : OSSL_STORE_load(store);
  EVP_PKEY *key = info == NULL ? NULL : OSSL_STORE_INFO_get1_PKEY(info);

  OSSL_STORE_INFO_free(info);
  OSSL_STORE_close(store);
  return key;
}

static bool sign_and_verify(EVP_PKEY *key, const char *message)
{
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  unsigned char signature[1024];
  size_t length = sizeof signature, size = strlen(message);
  const unsigned char *data = (const unsigned char *)message;
  bool done = context != NULL && EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL, key, NULL) > 0
              && EVP_DigestSign(context, signature, &length, data, size) > 0;

  EVP_MD_CTX_free(context);
  context = EVP_MD_CTX_new();
  done = done && context != NULL && EVP_DigestVerifyInit_ex(context, NULL, "SHA256", NULL, NULL, key, NULL) > 0
         && EVP_DigestVerify(context, signature, length, data, size) == 1;
  EVP_MD_CTX_free(context);
  if (!done) ERR_print_errors_fp(stderr);
  return done;
}

static void *work(void *key)
{
  char message[32];

  for (int round = 0; round < ROUNDS; round++) {
    snprintf(message, sizeof message, "%p %d", (void *)&message, round);
    if (!sign_and_verify(key, message)) return key;
  }
  return NULL;
}

static bool sign_in_threads(EVP_PKEY *key)
{
  pthread_t threads[THREADS];
  void *failed, *any = NULL;

  for (int i = 0; i < THREADS; i++)
    if (pthread_create(&threads[i], NULL, work, key) != 0) return false;
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], &failed);
    if (failed != NULL) any = failed;
  }
  return any == NULL;
}

static bool sign_in_fork(EVP_PKEY *key)
{
  int status = 0;
  pid_t child = fork();

  if (child < 0) return false;
  if (child == 0) _exit(sign_in_threads(key) ? 0 : 1);
  return sign_in_threads(key) && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
  char uri[200];
  EVP_PKEY *key;
  bool done;

  if (argc != 2) return 2;
  snprintf(uri, sizeof uri, "iotedge:%s", argv[1]);
  key = load(uri);
  if (key == NULL) ERR_print_errors_fp(stderr);
  done = key != NULL && sign_in_threads(key) && sign_in_fork(key) && sign_in_threads(key);
  EVP_PKEY_free(key);
  return done ? 0 : 1;
}
