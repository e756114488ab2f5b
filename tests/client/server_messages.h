// What an honest server says: messages that pass client/assignment_check.h, to be changed by tests.
#pragma once

#include <string>

#include "core/peft_adapter.h"
#include "core/sha256.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::client {

inline v1::CampaignOffer HonestOffer(const std::string& campaign = "chem") {
  v1::CampaignOffer offer;
  offer.set_campaign(campaign);
  offer.set_lead("lena");
  offer.set_model("meta-llama/Llama 3");
  offer.set_train_data("notes");
  offer.add_evaluation_data("heldout");
  offer.set_adapter_config_json(AdapterConfig().ToPeftJson());
  v1::TensorInfo* tensor = offer.add_manifest();
  tensor->set_name("m.lora_A.weight");
  tensor->set_dtype("F32");
  tensor->add_shape(8);
  tensor->add_shape(64);
  offer.set_campaign_yaml("name: chem\n");
  offer.set_max_walltime_seconds(600);
  return offer;
}

inline v1::TaskAssignment HonestTask(const std::string& campaign = "chem") {
  v1::TaskAssignment task;
  task.set_task(campaign + ".r1.a.t1");
  task.set_campaign(campaign);
  task.set_kind(v1::TASK_KIND_TRAIN);
  task.set_round(1);
  task.set_global_digest(Sha256Of("version").ToHex());
  task.set_global_bytes(7);
  task.set_seed(UINT64_MAX);
  task.set_walltime_seconds(600);
  v1::Training* training = task.mutable_training();
  training->set_steps(5);
  training->set_batch_size(2);
  training->set_gradient_accumulation(3);
  training->set_sequence_length(128);
  training->set_learning_rate(0.003);
  training->set_learning_rate_scale(0.5);
  training->set_schedule("cosine");
  training->set_beta1(0.8);
  training->set_beta2(0.99);
  training->set_epsilon(1e-6);
  training->set_max_grad_norm(2);
  task.set_evaluation_batch_size(4);
  return task;
}

}  // namespace tributary::client
