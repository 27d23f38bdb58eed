// Signals as requests that the training loop checks between steps.
//
//   SIGINT, SIGTERM, SIGUSR1: finish the step, save, stop with exit code 128 + n; a second one ends the
//                             process at once
//   SIGHUP:                   save and continue
//   SIGPIPE:                  nothing; a run outlives the terminal or pipe that it writes to
#pragma once

namespace atrous::train {

// While alive, the signals above are requests; afterwards their earlier actions are restored. One at a time.
class SignalGuard {
 public:
  SignalGuard();
  ~SignalGuard();
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;

  // The signal that requests a stop; 0 if none.
  static int stop_requested();
  // True once per SIGHUP.
  static bool take_save_request();

 private:
  struct Previous;
  Previous* previous_;
};

}  // namespace atrous::train
