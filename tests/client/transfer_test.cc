#include "client/transfer.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "core/files.h"
#include "tests/core/test_files.h"

namespace tributary::client {
namespace {

using testing::HasSubstr;

// Keeps one blob; answers the first transfers with the given codes, after half of what was left.
class Federation final : public v1::Federation::Service {
 public:
  grpc::Status UploadStatus(grpc::ServerContext*, const v1::UploadStatusRequest*,
                            v1::UploadStatusResponse* response) override {
    response->set_offset(blob.size());
    return grpc::Status::OK;
  }
  grpc::Status Upload(grpc::ServerContext* context, grpc::ServerReader<v1::UploadRequest>* reader,
                      v1::UploadResponse*) override {
    v1::UploadRequest request;
    if (!reader->Read(&request)) return {grpc::StatusCode::UNKNOWN, "no header"};
    const std::size_t total = request.header().bytes();
    offsets.push_back(request.header().offset());
    context->AddInitialMetadata("turn", "yes");
    reader->SendInitialMetadata();
    const std::size_t until = blob.size() + (total - blob.size()) / 2;
    while (reader->Read(&request)) {
      blob += request.data();
      if (!answers.empty() && blob.size() >= until) return Next();
    }
    return answers.empty() ? grpc::Status::OK : Next();
  }
  grpc::Status Download(grpc::ServerContext*,
                        grpc::ServerReaderWriter<v1::Chunk, v1::DownloadRequest>* stream) override {
    v1::DownloadRequest request;
    if (!stream->Read(&request)) return {grpc::StatusCode::UNKNOWN, "no request"};
    offsets.push_back(request.offset());
    v1::Chunk chunk;
    const std::string rest = blob.substr(request.offset());
    chunk.set_data(answers.empty() ? rest : rest.substr(0, rest.size() / 2));
    stream->Write(chunk);
    return answers.empty() ? grpc::Status::OK : Next();
  }

  grpc::Status Next() {
    const grpc::StatusCode code = answers.front();
    answers.pop_front();
    return {code, "trouble"};
  }

  std::string blob;
  std::deque<grpc::StatusCode> answers;
  std::vector<std::uint64_t> offsets;  // of the tries
};

class TransferTest : public testing::Test {
 protected:
  TransferTest() {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&federation_);
    server_ = builder.BuildAndStart();
    channel_ = grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                                   grpc::InsecureChannelCredentials());
  }

  Status Upload(Patience patience = Patience::kDaemon) {
    const std::string path = directory_ / "update";
    EXPECT_TRUE(WriteFileAtomic(path, bytes_).ok());
    return Transfer(channel_, patience).Upload(path, Sha256Of(bytes_), bytes_.size(), "task", [] {
      return true;
    });
  }
  Status Download(Patience patience = Patience::kDaemon) {
    federation_.blob = bytes_;
    return Transfer(channel_, patience)
        .Download(Sha256Of(bytes_), bytes_.size(), directory_ / "version", [] { return true; });
  }

  const std::string bytes_ = std::string(300'000, 'u');
  const TestDirectory directory_;
  Federation federation_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

// A server that ends a stalled transfer cancels it; one that is out of files or disk says
// exhausted.
TEST_F(TransferTest, AnUploadThatWasCutGoesOnWhereItWas) {
  federation_.answers = {grpc::StatusCode::CANCELLED, grpc::StatusCode::RESOURCE_EXHAUSTED};
  EXPECT_EQ(Upload(), OkStatus());
  EXPECT_EQ(federation_.blob, bytes_);
  ASSERT_EQ(federation_.offsets.size(), 3u);
  EXPECT_GT(federation_.offsets[1], 0u);
  EXPECT_GT(federation_.offsets[2], federation_.offsets[1]);
}

TEST_F(TransferTest, ADownloadThatWasCutGoesOnWhereItWas) {
  federation_.answers = {grpc::StatusCode::CANCELLED, grpc::StatusCode::NOT_FOUND};
  EXPECT_EQ(Download(), OkStatus());
  EXPECT_EQ(*ReadFile(directory_ / "version"), bytes_);
  EXPECT_EQ(federation_.offsets, (std::vector<std::uint64_t>{0, 150'000, 225'000}));
}

TEST_F(TransferTest, ARefusalIsNotRepeated) {
  federation_.answers = {grpc::StatusCode::PERMISSION_DENIED};
  EXPECT_EQ(Upload().code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(federation_.offsets.size(), 1u);
}

TEST_F(TransferTest, APersonHearsOfAFullServerAtOnce) {
  federation_.answers = {grpc::StatusCode::RESOURCE_EXHAUSTED};
  EXPECT_EQ(Upload(Patience::kPerson).code(), StatusCode::kResourceExhausted);
  federation_.answers = {grpc::StatusCode::NOT_FOUND};
  EXPECT_EQ(Download(Patience::kPerson).code(), StatusCode::kNotFound);
}

// What an earlier command left may be of another blob: that passes.
TEST_F(TransferTest, APersonHearsOfADamagedBlobWhenItIsDamagedAgain) {
  federation_.answers = {grpc::StatusCode::DATA_LOSS};
  EXPECT_EQ(Download(Patience::kPerson), OkStatus());
  federation_.offsets.clear();
  federation_.answers.assign(9, grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(Download(Patience::kPerson).code(), StatusCode::kDataLoss);
  EXPECT_EQ(federation_.offsets.size(), 2u);
}

TEST_F(TransferTest, WhoeverStopsItEndsIt) {
  federation_.answers.assign(1000, grpc::StatusCode::CANCELLED);
  const std::string path = directory_ / "update";
  ASSERT_TRUE(WriteFileAtomic(path, bytes_).ok());
  const Transfer transfer(channel_, Patience::kDaemon);
  int asked = 0;
  const Status status = transfer.Upload(path, Sha256Of(bytes_), bytes_.size(), "task", [&] {
    if (++asked == 20) transfer.CancelCalls();
    return true;
  });
  EXPECT_EQ(status.code(), StatusCode::kCancelled);
  EXPECT_THAT(status.message(), HasSubstr("given up"));
}

}  // namespace
}  // namespace tributary::client
