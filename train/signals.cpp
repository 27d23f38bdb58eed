#include "train/signals.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>

namespace atrous::train {
namespace {

constexpr std::array<int, 5> handled = {SIGINT, SIGTERM, SIGUSR1, SIGHUP, SIGPIPE};

// Lock-free atomics may be used in a handler, and other threads see them.
std::atomic<int> stop_signal{0};
std::atomic<bool> save_request{false};

void on_signal(int number) {
  if (number == SIGHUP) {
    save_request.store(true);
  } else if (stop_signal.exchange(number) != 0) {
    _exit(128 + number);  // second request: the checkpoint on the disk is whole at any moment
  }
}

}  // namespace

struct SignalGuard::Previous {
  std::array<struct sigaction, handled.size()> actions;
};

SignalGuard::SignalGuard() : previous_(new Previous) {
  stop_signal = 0;
  save_request = false;
  for (size_t i = 0; i < handled.size(); ++i) {
    struct sigaction action {};
    action.sa_handler = handled[i] == SIGPIPE ? SIG_IGN : on_signal;
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    sigaction(handled[i], &action, &previous_->actions[i]);
  }
}

SignalGuard::~SignalGuard() {
  for (size_t i = 0; i < handled.size(); ++i) sigaction(handled[i], &previous_->actions[i], nullptr);
  delete previous_;
}

int SignalGuard::stop_requested() {
  return stop_signal.load();
}

bool SignalGuard::take_save_request() {
  return save_request.exchange(false);
}

}  // namespace atrous::train
