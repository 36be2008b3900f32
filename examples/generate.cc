#include <postgen/postgen.h>

#include <iostream>

int main() {
  postgen::Options options;
  options.llm.provider = "template";  // or options.llm.base_url and options.llm.api_key
  options.store.url = "sqlite:posts.db";
  auto generator = postgen::PostGenerator::Create(options);
  if (!generator.ok()) {
    std::cerr << generator.error().message << '\n';
    return 2;
  }

  postgen::PostRequest request;
  request.stock_code = "2330";
  request.stock_name = "台積電";
  request.kol_serial = 208;
  postgen::Result<postgen::PostResult> post = (*generator)->Generate(request);
  if (!post.ok()) {
    std::cerr << post.error().message << '\n';
    return 1;
  }
  std::cout << post->title << '\n' << post->content << '\n';
}
