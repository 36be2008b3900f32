#include "options.h"

#include <algorithm>
#include <optional>

#include "numbers.h"

namespace emulator {
namespace {

// True for an address on which only this machine can connect; "localhost" becomes 127.0.0.1.
bool ToLoopback(std::string_view text, std::string* host) {
  if (text == "localhost") text = "127.0.0.1";
  bool v4 = text.substr(0, 4) == "127." &&
            text.find_first_not_of("0123456789.") == std::string_view::npos &&
            std::count(text.begin(), text.end(), '.') == 3;
  if (!v4 && text != "::1") return false;
  *host = text;
  return true;
}

// The flags of the process itself; those of the service are settings.
enum class Flag { kNotOurs, kSet, kWrong };

Flag SetText(std::string_view value, std::string* out) {
  *out = value;
  return Flag::kSet;
}

Flag SetOption(std::string_view flag, std::string_view value, Options* options,
               std::string* error) {
  if (flag == "host") {
    if (ToLoopback(value, &options->host)) return Flag::kSet;
    *error = "--host must be a loopback address (127.x.x.x, ::1 or localhost), not '" +
             std::string(value) + "'";
    return Flag::kWrong;
  }
  if (flag == "port") {
    std::int64_t port = 0;
    if (!ParseInteger(flag, value, 0, 65535, &port, error)) return Flag::kWrong;
    options->port = static_cast<std::uint16_t>(port);
    return Flag::kSet;
  }
  if (flag == "tick-ms") {
    bool parsed = ParseNumber(flag, value, 0.1, 100, &options->tick_ms, error);
    return parsed ? Flag::kSet : Flag::kWrong;
  }
  if (flag == "tls-cert") return SetText(value, &options->tls_cert);
  if (flag == "tls-key") return SetText(value, &options->tls_key);
  if (flag == "tls-ca-out") return SetText(value, &options->tls_ca_out);
  return Flag::kNotOurs;
}

bool SetSwitch(std::string_view flag, Options* options) {
  if (flag == "tls") {
    options->tls = true;
  } else if (flag == "exit-with-parent") {
    options->exit_with_parent = true;
  } else {
    return false;
  }
  return true;
}

bool CheckTogether(const Options& options, std::string* error) {
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    *error = "--tls-cert and --tls-key must be given together";
    return false;
  }
  bool needs_tls = !options.tls_cert.empty() || !options.tls_ca_out.empty();
  if (needs_tls && !options.tls) {
    *error = "--tls-cert, --tls-key and --tls-ca-out need --tls";
    return false;
  }
  if (!options.tls_cert.empty() && !options.tls_ca_out.empty()) {
    *error = "--tls-ca-out is for a certificate made at start, not with --tls-cert";
    return false;
  }
  return true;
}

}  // namespace

CommandLine ParseCommandLine(const std::vector<std::string_view>& arguments, Options* options,
                             std::string* error) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string_view argument = arguments[i];
    if (argument == "--help" || argument == "-h") return CommandLine::kHelp;
    if (argument == "--version") return CommandLine::kVersion;
    if (argument.substr(0, 2) != "--" || argument.size() < 3) {
      *error = "unexpected argument '" + std::string(argument) + "' (flags start with --)";
      return CommandLine::kWrong;
    }
    std::string_view flag = argument.substr(2);
    std::optional<std::string_view> value;
    if (std::size_t equals = flag.find('='); equals != std::string_view::npos) {
      value = flag.substr(equals + 1);
      flag = flag.substr(0, equals);
    }
    if (!value && SetSwitch(flag, options)) continue;
    if (!value && IsSwitch(flag)) value = "true";
    if (!value) {
      if (i + 1 < arguments.size()) {
        value = arguments[++i];
      } else {
        bool known = IsSetting(flag) || SetOption(flag, "", options, error) != Flag::kNotOurs;
        *error = known ? "--" + std::string(flag) + " needs a value"
                       : "unknown flag --" + std::string(flag);
        return CommandLine::kWrong;
      }
    }
    switch (SetOption(flag, *value, options, error)) {
      case Flag::kSet: continue;
      case Flag::kWrong: return CommandLine::kWrong;
      case Flag::kNotOurs: break;
    }
    if (!ApplySetting(flag, *value, &options->settings, error)) return CommandLine::kWrong;
  }
  return CheckTogether(*options, error) ? CommandLine::kRun : CommandLine::kWrong;
}

std::string HelpText() {
  return "postgen-emulator: an OpenAI-compatible chat server on loopback with a latency model, "
         "limits and faults.\n"
         "Usage: postgen-emulator [--FLAG VALUE | --FLAG=VALUE | --SWITCH]...\n"
         "\nServer:\n"
         "  --host ADDRESS              loopback address to listen on (127.0.0.1)\n"
         "  --port N                    0 takes a free one and prints it (0)\n"
         "  --tls                       speak TLS, with a certificate made at start\n"
         "  --tls-ca-out FILE           write the certificate that clients have to trust\n"
         "  --tls-cert FILE             use this certificate chain (PEM)\n"
         "  --tls-key FILE              and this key\n"
         "  --exit-with-parent          end when the parent process does or stdin closes\n"
         "  --tick-ms N                 shortest time between two rounds of due tokens (2)\n"
         "  --help, --version\n" +
         SettingsHelp() +
         "\nFaults for --fail KIND[=VALUE][:SHARE|@EVERY|#COUNT] and the request header "
         "x-emulator-fault:\n" +
         FaultsHelp();
}

}  // namespace emulator
