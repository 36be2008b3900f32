#include "limits/spending_budget.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

namespace postgen {
std::string SpendingBudget::Usd(std::int64_t micro) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%.6f USD", static_cast<double>(micro) / 1e6);
  return text.data();
}

std::int64_t SpendingBudget::Today() const {
  using Days = std::chrono::duration<std::int64_t, std::ratio<86400>>;
  return std::chrono::floor<Days>(parts_.wall_clock().time_since_epoch()).count();
}

SpendingEntry SpendingBudget::Entry(std::int64_t day, std::int64_t amount) const {
  SpendingEntry entry;
  entry.scope = parts_.scope;
  entry.day = day;
  entry.amount = amount;
  if (day_ != 0) entry.known_day = day_, entry.known_spent = spent_;
  return entry;
}

void SpendingBudget::OnTotal(const SpendingTotal& total) {
  away_ = false;
  if (total.day < day_) return;  // yesterday's settled today
  day_ = total.day;
  spent_ = total.spent;
}

void SpendingBudget::Reserve(std::int64_t amount, TimePoint deadline, ReserveCallback done) {
  SpendingEntry entry;
  {
    const MutexLock lock(&mutex_);
    ++open_;
    on_way_ += amount;
    entry = Entry(SpendingEntry::kToday, amount);
    entry.bound = parts_.limit;
  }
  const TimePoint limit = std::min(deadline, parts_.executor->Now() + kLedgerLimit);
  parts_.ledger->Add(
      std::move(entry), limit,
      [self = shared_from_this(), amount, done = std::move(done)](Result<SpendingTotal> total) {
        Result<Reservation> reservation = Reservation();
        {
          const MutexLock lock(&self->mutex_);
          self->on_way_ -= amount;
          if (total.ok()) {
            self->OnTotal(*total);
            if (total->added) {
              reservation = Reservation{total->day, amount};
            } else {
              reservation = self->Exceeded(amount, self->parts_.limit - total->spent, "");
            }
          } else if (total.error().details.transient) {
            reservation = self->ReserveOnShare(amount, total.error());
          } else {
            reservation = total.error();
          }
        }
        if (total.ok()) self->TellOwed();
        if (!reservation.ok()) self->Ended();
        done(std::move(reservation));
      });
}

void SpendingBudget::MakeShare(std::int64_t today) {
  ++share_;
  share_day_ = today;
  share_left_ = parts_.limit - (today == day_ ? spent_ : 0);
  if (const auto owed = owed_.find(today); owed != owed_.end()) {
    share_left_ -= std::max<std::int64_t>(0, owed->second);
  }
  share_processes_ = parts_.processes();
  share_spent_ = 0;
}

Result<SpendingBudget::Reservation> SpendingBudget::ReserveOnShare(std::int64_t amount,
                                                                   const Error& away) {
  const std::int64_t today = Today();
  if (day_ == 0) {
    ++refused_;
    return Error(Code::kBudget,
                 "what was spent today is not known: " + away.message +
                     "; until its ledger tells, posts are refused, as budget_usd_per_day is set",
                 "budget_usd_per_day");
  }
  if (!std::exchange(away_, true) || share_day_ != today) MakeShare(today);
  const std::int64_t share = std::max<std::int64_t>(0, share_left_ - on_way_) / share_processes_;
  if (share_spent_ + amount > share) {
    return Exceeded(amount, share - share_spent_,
                    " as this process's share while the ledger is away (" + away.message + ")");
  }
  share_spent_ += amount;
  owed_[today] += amount;
  return Reservation{today, amount, share_};
}

Error SpendingBudget::Exceeded(std::int64_t amount, std::int64_t left, const std::string& share) {
  ++refused_;
  return Error(Code::kBudget,
               "this post may cost up to " + Usd(amount) + ", and " +
                   Usd(std::max<std::int64_t>(0, left)) + " of budget_usd_per_day is left" + share +
                   " until midnight UTC; raise it or ask for fewer versions",
               "budget_usd_per_day");
}

void SpendingBudget::Settle(const Reservation& reservation, std::int64_t spent) {
  bool away = false;
  {
    const MutexLock lock(&mutex_);
    away = away_;
    const std::int64_t change = spent - reservation.amount;
    owed_[reservation.day] += change;
    if (away_ && reservation.share == share_) share_spent_ += change;
  }
  if (away) {
    // Asks first whether it is back: what is not sent now is not lost, and counts once.
    Refresh(parts_.executor->Now() + kLedgerLimit, [](const Status&) {});
  } else {
    TellOwed();
  }
  Ended();
}

void SpendingBudget::Ended() {
  const MutexLock lock(&mutex_);
  --open_;
  settled_.notify_all();
}

void SpendingBudget::TellOwed() {
  std::map<std::int64_t, std::int64_t> owed;
  std::map<std::int64_t, SpendingEntry> entries;
  {
    const MutexLock lock(&mutex_);
    owed.swap(owed_);
    for (const auto& [day, amount] : owed) {
      if (amount == 0) continue;
      ++open_;
      on_way_ += std::max<std::int64_t>(0, amount);
      entries.emplace(day, Entry(day, amount));
    }
  }
  for (auto& [day, entry] : entries) {
    const std::int64_t amount = entry.amount;
    parts_.ledger->Add(
        std::move(entry), parts_.executor->Now() + kLedgerLimit,
        [self = shared_from_this(), day = day, amount](const Result<SpendingTotal>& total) {
          const MutexLock lock(&self->mutex_);
          --self->open_;
          const std::int64_t charge = std::max<std::int64_t>(0, amount);
          self->on_way_ -= charge;
          if (total.ok()) {
            self->OnTotal(*total);
          } else {
            self->owed_[day] += charge;  // told with the next answer
            self->share_left_ -= charge;
          }
          self->settled_.notify_all();
        });
  }
}

void SpendingBudget::WaitSettled(TimePoint limit) {
  TellOwed();
  const MutexLock lock(&mutex_);
  while (open_ > 0) {
    if (settled_.wait_until(mutex_, limit) == std::cv_status::timeout) return;
  }
}

SpendingBudget::View SpendingBudget::Look() const {
  const MutexLock lock(&mutex_);
  View view;
  view.limit = parts_.limit;
  view.known = day_ != 0;
  view.away = away_;
  view.refused = refused_;
  const std::int64_t today = Today();
  if (day_ >= today) view.spent = spent_;
  if (const auto owed = owed_.find(today); owed != owed_.end()) view.spent += owed->second;
  return view;
}

void SpendingBudget::Refresh(TimePoint deadline, std::function<void(Status)> done) {
  SpendingEntry entry;
  {
    const MutexLock lock(&mutex_);
    ++open_;
    entry = Entry(SpendingEntry::kToday, 0);
  }
  parts_.ledger->Add(
      std::move(entry), deadline,
      [self = shared_from_this(), done = std::move(done)](const Result<SpendingTotal>& total) {
        if (total.ok()) {
          {
            const MutexLock lock(&self->mutex_);
            self->OnTotal(*total);
          }
          self->TellOwed();
        }
        self->Ended();
        done(total.ok() ? Status() : Status(total.error()));
      });
}

}  // namespace postgen
