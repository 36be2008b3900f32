/* The example at the head of postgen/c.h, word for word (doc_examples.py compares). */
#include <postgen/c.h>
#include <stdio.h>

int main(void) {
  postgen_generator* generator = NULL;
  postgen_result* result = NULL;
  postgen_error* error = NULL;
  if (postgen_generator_create(POSTGEN_STR("{\"llm\": {\"provider\": \"template\"}}"), NULL,
                               &generator, &error) == POSTGEN_OK &&
      postgen_generate(generator, POSTGEN_STR("{\"stock_code\": \"2330\", \"kol_serial\": 208}"),
                       &result, &error) == POSTGEN_OK) {
    postgen_str reply = postgen_result_json(result);
    printf("%.*s\n", (int)reply.len, reply.ptr);
  } else {
    postgen_str reply = postgen_error_json(error);
    fprintf(stderr, "%.*s\n", (int)reply.len, reply.ptr);
  }
  postgen_error_destroy(&error);
  postgen_result_destroy(&result);
  postgen_generator_destroy(&generator);
  return 0;
}
