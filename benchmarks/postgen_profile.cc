// postgen's look-up of a KOL from C++, one after the other: a short post by the offline writer that
// is not stored, so that what is left is the profile, which is read anew each time.
#include <postgen/generator.h>
#include <postgen/version.h>

#include <cstdio>

#include "workload.h"

namespace {

using bench::Clock;
using bench::Recorder;
using bench::TimePoint;
using bench::Workload;

void LookUp(postgen::PostGenerator* generator, const postgen::PostRequest& request, int times,
            Recorder* recorder) {
  for (int i = 0; i < times; ++i) {
    const TimePoint start = Clock::now();
    generator->RefreshProfiles();
    const auto post = generator->Generate(request);
    recorder->CallEnded(start, Clock::now(), post.ok());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const Workload workload = Workload::FromArguments(argc, argv);
  Recorder recorder(workload);
  postgen::Options options;
  options.llm.provider = "template";
  options.profiles.url = workload.url;
  options.require_kol = true;  // else a post without the profile would do
  auto generator = postgen::PostGenerator::Create(options);
  if (!generator.ok()) {
    std::fprintf(stderr, "%s\n", generator.error().message.c_str());
    return 2;
  }
  postgen::PostRequest request;
  request.stock_code = "2330";
  request.kol_serial = 208;
  request.versions = 1;
  request.max_words = 10;
  request.store = false;
  LookUp(generator->get(), request, workload.warmup, &recorder);
  recorder.Begin();
  LookUp(generator->get(), request, workload.calls, &recorder);
  recorder.Print("postgen, C++", POSTGEN_VERSION);
  return 0;
}
