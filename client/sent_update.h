// The last update of a campaign that the server took, kept until the next one: a server whose disk
// lost it asks for the same work again, and gets the same bits without a job. To train again would
// not always make them: what a strategy keeps at the site has moved on.
#pragma once

#include <optional>

#include "client/task_workspace.h"
#include "core/clock.h"
#include "core/status.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::client {

// Takes the update of a train task, which was acknowledged and counts, out of its workspace, in the
// place of the campaign's last one.
Status KeepSent(const TaskWorkspace& workspace, const v1::TaskAssignment& task,
                const v1::Statement& statement);

// When `task` asks for what was kept, under whatever attempt: its update is at DeltaPath() again,
// and this is its statement, unsigned. Nothing when it asks for something else, or the kept file is
// not what it was.
std::optional<v1::Statement> FindSent(const TaskWorkspace& workspace,
                                      const v1::TaskAssignment& task);

}  // namespace tributary::client
