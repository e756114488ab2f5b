// What changed in a campaign's status, for those who watch it (CampaignStatus.changes).
#pragma once

#include "tributary/v1/control.pb.h"

namespace tributary {

// What turns `before` into `now`: MergeChanges(it, &before) makes `now`, where no round and no
// version of `before` is missing in it.
v1::CampaignStatus ChangesBetween(const v1::CampaignStatus& before, const v1::CampaignStatus& now);

// `whole` may be such a change itself: then it becomes both in one.
void MergeChanges(const v1::CampaignStatus& change, v1::CampaignStatus* whole);

}  // namespace tributary
