/*
 * The "key file" of a key in the Keys service, tags explicit:
 * DER SEQUENCE { UTF8String id, OCTET STRING spki, [0] UTF8String request_id OPTIONAL }.
 * Only this one encoding is accepted: definite lengths in the fewest octets, nothing before, between or after.
 */
#include <string.h>

#include "provider.h"

#define TAG_SEQUENCE 0x30
#define TAG_UTF8_STRING 0x0c
#define TAG_OCTET_STRING 0x04
#define TAG_REQUEST_ID 0xa0
#define ID_LENGTH_MAX 128
#define REQUEST_ID_LENGTH_MAX 64

struct slice {
  const unsigned char *at;
  size_t length;
};

/* Consumes one element at the front of `from`; returns false unless it is a whole DER element with that tag. */
static bool take_element(struct slice *from, unsigned char tag, struct slice *content)
{
  const unsigned char *at = from->at;
  size_t left = from->length, length;

  if (left < 2 || at[0] != tag) return false;
  length = at[1];
  at += 2;
  left -= 2;
  if (length == 0x81) {
    if (left < 1 || at[0] < 0x80) return false;
    length = at[0];
    at += 1;
    left -= 1;
  } else if (length == 0x82) {
    if (left < 2 || at[0] == 0) return false;
    length = (size_t)at[0] << 8 | at[1];
    at += 2;
    left -= 2;
  } else if (length >= 0x80) {
    return false; /* indefinite, or more than 64 KiB */
  }
  if (length > left) return false;
  content->at = at;
  content->length = length;
  from->at = at + length;
  from->length = left - length;
  return true;
}

static bool is_alphanumeric(char c)
{
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_segment(const char *segment, size_t length)
{
  return length > 0 && !(length == 1 && segment[0] == '.') && !(length == 2 && memcmp(segment, "..", 2) == 0);
}

/* The rule of the Keys service for ids: 1 to 128 known characters, no empty, `.` or `..` segment. */
bool key_id_is_valid(const char *id, size_t length)
{
  size_t start = 0;

  if (length == 0 || length > ID_LENGTH_MAX || !(is_alphanumeric(id[0]) || id[0] == '$')) return false;
  for (size_t i = 0; i < length; i++) {
    if (id[i] == '/') {
      if (!is_segment(id + start, i - start)) return false;
      start = i + 1;
    } else if (!is_alphanumeric(id[i]) && (id[i] == '\0' || strchr("._$:@-", id[i]) == NULL)) {
      return false;
    }
  }
  return is_segment(id + start, length - start);
}

/* The rule of the Keys service for request ids, so that an invalid one does not fail each signature. */
static bool request_id_is_valid(const struct slice *id)
{
  if (id->length == 0 || id->length > REQUEST_ID_LENGTH_MAX) return false;
  for (size_t i = 0; i < id->length; i++)
    if (id->at[i] < '!' || id->at[i] > '~') return false;
  return true;
}

/* Consumes the optional request id; returns false when anything else follows the public half. */
static bool take_request_id(struct slice *from, struct slice *id)
{
  struct slice tagged;

  *id = (struct slice){ NULL, 0 };
  if (from->length == 0) return true;
  if (!take_element(from, TAG_REQUEST_ID, &tagged) || from->length != 0) return false;
  return take_element(&tagged, TAG_UTF8_STRING, id) && tagged.length == 0 && request_id_is_valid(id);
}

/* The fields of `file` point into `der`. */
bool key_file_parse(const unsigned char *der, size_t length, struct key_file *file)
{
  struct slice all = { der, length }, sequence, id, spki, request_id;

  if (!take_element(&all, TAG_SEQUENCE, &sequence) || all.length != 0) return false;
  if (!take_element(&sequence, TAG_UTF8_STRING, &id)) return false;
  if (!take_element(&sequence, TAG_OCTET_STRING, &spki)) return false;
  if (!take_request_id(&sequence, &request_id)) return false;
  if (!key_id_is_valid((const char *)id.at, id.length) || spki.length == 0) return false;
  file->id = (const char *)id.at;
  file->id_length = id.length;
  file->spki = spki.at;
  file->spki_length = spki.length;
  file->request_id = (const char *)request_id.at;
  file->request_id_length = request_id.length;
  return true;
}
