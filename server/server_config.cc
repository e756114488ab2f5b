#include "server/server_config.h"

#include "core/files.h"

namespace tributary::server {

void TlsSection::Describe(ConfigVisitor& v) {
  v.Field("ca", &ca, {.doc = "certificate of the federation's authority"});
  v.Field("ca_key", &ca_key, {.doc = "its key, mode 0600: signs the certificates of new members"});
  v.Field("certificate", &certificate, {.doc = "the server's certificate, followed by the CA's"});
  v.Field("key", &key, {.doc = "its key, mode 0600"});
}

void ServerConfig::Describe(ConfigVisitor& v) {
  v.Field("federation", &federation,
          {.doc = "name of the federation", .required = true, .non_empty = true});
  v.Field("listen", &listen,
          {.doc = "address:port; the only port that is opened", .non_empty = true});
  v.Field("advertise", &advertise, {.doc = "host:port told to new members; empty: as listen"});
  v.Field("data_dir", &data_dir, {.doc = "journal and blobs, on a local disk", .non_empty = true});
  v.Field("tls", &tls);
  v.Field("heartbeat", &heartbeat, {.doc = "of each site's stream", .min = 1, .max = 3600});
  v.Field("max_concurrent_uploads", &max_concurrent_uploads,
          {.doc = "further uploads wait for their turn", .min = 1, .max = 1024});
  v.Field("max_upload", &max_upload, {.doc = "largest update or initial adapter", .min = 1024});
  v.Field("member_certificate_lifetime", &member_certificate_lifetime,
          {.doc = "of certificates given at enrollment", .min = 60});
  v.Field("worker_threads", &worker_threads,
          {.doc = "for verifying updates", .min = 1, .max = 256});
  v.Field("fold_threads", &fold_threads,
          {.doc = "of each fold; two campaigns fold at a time", .min = 1, .max = 256});
  v.Field("keep_versions", &keep_versions,
          {.doc = "of each campaign, the newest; 0: all", .min = 0, .max = 1'000'000});
  v.Field("keep_every", &keep_every,
          {.doc = "of each campaign, also one in so many; 0: none", .min = 0, .max = 1'000'000});
  v.Field("log", &log);
}

void ServerConfig::Check(ConfigProblems& problems) const {
  if (keep_every > 0 && keep_versions == 0) {
    problems.Add("keep_every", "has no effect while keep_versions is 0, which keeps all");
  }
  for (const auto& [key, address] :
       {std::pair{"listen", listen}, std::pair{"advertise", advertise}}) {
    if (!address.empty() && address.rfind(':') == std::string::npos) {
      problems.Add(key, "\"" + address + "\" has no port; must be host:port");
    }
  }
}

Result<ServerConfig> LoadServerConfig(const std::string& path) {
  ServerConfig config;
  TRIBUTARY_RETURN_IF_ERROR(LoadYamlFile(path, &config));
  const std::string base = DirectoryOf(path);
  for (std::string* name : {&config.data_dir, &config.tls.ca, &config.tls.ca_key,
                            &config.tls.certificate, &config.tls.key, &config.log.file}) {
    if (!name->empty()) *name = JoinPath(base, *name);
  }
  if (config.advertise.empty()) config.advertise = config.listen;
  return config;
}

}  // namespace tributary::server
