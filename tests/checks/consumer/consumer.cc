#include <postgen/postgen.h>

#include <iostream>

int main() {
  postgen::Options options;
  options.llm.provider = "template";
  auto generator = postgen::PostGenerator::Create(options);
  if (!generator.ok()) return 1;
  postgen::PostRequest request;
  request.stock_code = "2330";
  request.kol_serial = 208;
  const auto post = (*generator)->Generate(request);
  if (!post.ok()) return 1;
  std::cout << postgen::ResultToJson(*post) << '\n';
}
