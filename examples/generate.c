#include <postgen/c.h>
#include <stdio.h>

int main(void) {
  postgen_generator* generator = NULL;
  postgen_result* result = NULL;
  postgen_error* error = NULL;
  postgen_str options = POSTGEN_STR("{\"llm\": {\"provider\": \"template\"}}");
  postgen_str request = POSTGEN_STR("{\"stock_code\": \"2330\", \"kol_serial\": 208}");

  postgen_code code = postgen_generator_create(options, NULL, &generator, &error);
  if (code == POSTGEN_OK) code = postgen_generate(generator, request, &result, &error);
  postgen_str reply = code == POSTGEN_OK ? postgen_result_json(result) : postgen_error_json(error);
  printf("%.*s\n", (int)reply.len, reply.ptr);

  postgen_error_destroy(&error);
  postgen_result_destroy(&result);
  postgen_generator_destroy(&generator);
  return code == POSTGEN_OK ? 0 : 1;
}
