#include "llm/hedge_watch.h"

#include <utility>

namespace postgen {

void HedgeWatch::OnSent(HedgePolicy* policy) {
  if (policy_ != nullptr) return;
  policy_ = policy;
  sent_ = executor_->Now();
  number_ = policy_->OnSent(sent_);
  if (taken_ || !policy_->Delay()) return;
  timer_ = executor_->RunAt(sent_ + *policy_->Delay(), [this] {
    timer_ = 0;
    on_late_();
  });
}

void HedgeWatch::OnHedge() {
  taken_ = true;
  policy_->OnHedge();
}

void HedgeWatch::OnToken(bool of_second) {
  EndTimer();
  HedgePolicy* const policy = std::exchange(policy_, nullptr);
  if (policy == nullptr) return;
  if (of_second) {
    policy->OnGone(number_, executor_->Now(), waited());
  } else {
    policy->OnFirstToken(number_, executor_->Now(), waited());
  }
}

void HedgeWatch::OnLost() {
  EndTimer();
  if (HedgePolicy* const policy = std::exchange(policy_, nullptr)) policy->OnLost(number_);
}

void HedgeWatch::Stop() {
  EndTimer();
  HedgePolicy* const policy = std::exchange(policy_, nullptr);
  if (policy != nullptr) policy->OnGone(number_, executor_->Now(), waited());
}

void HedgeWatch::EndTimer() { executor_->CancelTimer(std::exchange(timer_, 0)); }

}  // namespace postgen
