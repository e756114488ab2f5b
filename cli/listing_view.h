// How campaigns and sites look in a list: text of several lines for people.
#pragma once

#include <string>

#include "tributary/v1/control.pb.h"

namespace tributary::cli {

std::string RenderCampaigns(const v1::ListResponse& list);
std::string RenderSites(const v1::SitesResponse& sites);

}  // namespace tributary::cli
