#include "support/pgbouncer.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <vector>

namespace postgen::testing {
namespace {

// Where Debian has it, which is not in everybody's PATH.
constexpr const char* kProgram = "/usr/sbin/pgbouncer";

}  // namespace

PgBouncer::PgBouncer(const std::string& port, const std::string& user, const std::string& password,
                     int pool_size) {
  const std::string folder = folder_.path();
  std::ofstream(folder + "/users") << '"' << user << "\" \"" << password << "\"\n";
  std::ofstream(folder + "/ini") << "[databases]\n* = host=127.0.0.1 port=" << port
                                 << "\n[pgbouncer]\npool_mode = transaction"
                                 << "\ndefault_pool_size = " << pool_size
                                 << "\nunix_socket_dir = " << folder << "\nlisten_port = 6432"
                                 << "\nauth_type = scram-sha-256\nauth_file = " << folder
                                 << "/users\n";
  std::vector<std::string> command = {kProgram, folder + "/ini"};
  if (geteuid() == 0) {  // which it refuses to run as
    std::filesystem::permissions(folder, std::filesystem::perms::all);
    command.insert(command.begin() + 1, {"-u", "nobody"});
  }
  bouncer_ = std::make_unique<ChildProcess>(command);
  if (bouncer_->WaitForLine("process up").empty()) {
    throw std::runtime_error("pgbouncer does not start (Debian: apt install pgbouncer)");
  }
  proxy_ = std::make_unique<ToxicProxy>(folder + "/.s.PGSQL.6432");
}

}  // namespace postgen::testing
