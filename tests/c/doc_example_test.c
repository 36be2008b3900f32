/* The example of docs/c-api.md, word for word (doc_examples.py compares). */
#include <postgen/c.h>
#include <stdio.h>

static void Print(FILE* file, postgen_str text) {
  fwrite(text.ptr, 1, text.len, file);
  fputc('\n', file);
}

int main(void) {
  postgen_generator* generator = NULL;
  postgen_call* call = NULL;
  postgen_error* error = NULL;
  const postgen_str options = POSTGEN_STR("{\"llm\": {\"provider\": \"template\"}}");
  const postgen_str request = POSTGEN_STR("{\"stock_code\": \"2330\", \"kol_serial\": 208}");

  postgen_code code = postgen_generator_create(options, NULL, &generator, &error);
  if (code == POSTGEN_OK) {
    code = postgen_start(generator, request, POSTGEN_START_STREAM, &call, &error);
  }
  for (int ended = code != POSTGEN_OK; !ended;) {
    postgen_event events[16];
    const size_t count = postgen_generator_next_events(generator, -1, events, 16);
    for (size_t i = 0; i < count; ++i) {
      if (events[i].type == POSTGEN_EVENT_DELTA) Print(stdout, events[i].text);
      if (events[i].type == POSTGEN_EVENT_POST || events[i].type == POSTGEN_EVENT_ERROR) {
        Print(stdout, events[i].json);
        ended = 1;
      }
    }
  }
  if (error != NULL) Print(stderr, postgen_error_json(error));

  postgen_error_destroy(&error);
  postgen_call_destroy(&call);
  postgen_generator_destroy(&generator);
  return code != POSTGEN_OK;
}
