// The floor of latency: one warm libcurl easy handle, one call after the other.
#include <curl/curl.h>

#include <string>

#include "workload.h"

namespace {

using bench::Clock;
using bench::Recorder;
using bench::TimePoint;
using bench::Workload;

size_t OnBody(char*, size_t size, size_t count, void* user) {
  static_cast<Recorder*>(user)->bytes += static_cast<std::int64_t>(size * count);
  return size * count;
}

void Run(CURL* easy, int calls, const std::string& body, Recorder* recorder) {
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.c_str());
  for (int i = 0; i < calls; ++i) {
    const TimePoint start = Clock::now();
    const CURLcode result = curl_easy_perform(easy);
    const TimePoint now = Clock::now();
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    recorder->CallEnded(start, now, result == CURLE_OK && status == 200);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const Workload workload = Workload::FromArguments(argc, argv);
  curl_global_init(CURL_GLOBAL_ALL);
  Recorder recorder(workload);
  CURL* easy = curl_easy_init();
  curl_slist* headers = curl_slist_append(nullptr, "content-type: application/json");
  headers = curl_slist_append(headers, "authorization: Bearer bench");
  headers = curl_slist_append(headers, "expect:");
  curl_easy_setopt(easy, CURLOPT_URL, workload.ChatUrl().c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &recorder);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  Run(easy, workload.warmup, workload.RequestBody(1), &recorder);
  recorder.Begin();
  Run(easy, workload.calls, workload.RequestBody(workload.max_tokens), &recorder);
  recorder.Print("libcurl easy handle", curl_version_info(CURLVERSION_NOW)->version);
  curl_easy_cleanup(easy);
  curl_slist_free_all(headers);
  return 0;
}
