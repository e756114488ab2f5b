// Inner loops for the processor that runs them. Included by sources only.
#pragma once

namespace tributary::aggregators {

// A body is compiled twice, for the processor that the build is for and for AVX2, and chosen when
// it is called. (target_clones would need no macro, but its resolvers run before a sanitizer's
// runtime does.)
#if defined(__x86_64__)
inline bool HasAvx2() {
  static const bool has = __builtin_cpu_supports("avx2") != 0;
  return has;
}
#define TRIBUTARY_DISPATCH(Name, Parameters, Arguments)                        \
  [[gnu::target("avx2")]] void Name##Avx2 Parameters { Name##Body Arguments; } \
  void Name##Best Parameters { HasAvx2() ? Name##Avx2 Arguments : Name##Body Arguments; }
#else
#define TRIBUTARY_DISPATCH(Name, Parameters, Arguments) \
  void Name##Best Parameters { Name##Body Arguments; }
#endif
#define TRIBUTARY_BODY [[gnu::always_inline]] inline

}  // namespace tributary::aggregators
