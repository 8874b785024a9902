"""Search methods: what suggests configurations, what stops trials early, what confirms the best.

- `samplers`: SAMPLERS, Optuna's.
- `schedulers`: SCHEDULERS, Ray Tune's; `median_rule` repairs one.
- `proxies`: PROXIES, short trainings that stand for full ones.
- `confirmations`: CONFIRMATIONS, trainings with fresh seeds.
- `ray_internals`: the only module that touches private attributes of Ray.
"""
