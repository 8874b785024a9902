"""Search methods: how configurations are suggested, how trials are stopped early, how the best ones are confirmed.

- `samplers`: SAMPLERS, which build samplers of Optuna.
- `schedulers`: SCHEDULERS, which build trial schedulers of Ray Tune.
- `median_rule`: Ray's median stopping rule, with a fix for failed trials and with resumption.
- `gp_sampler`, `surrogate`: our sampler with a Gaussian process over configurations, for the row `gp`.
- `proxies`: PROXIES, shortened trainings that are searched instead of full ones.
- `confirmations`: CONFIRMATIONS, trainings of the best configurations with fresh seeds.
- `ray_internals`: all uses of Ray's private attributes; no other module touches them.
"""
