"""Ray clusters: sessions, jobs, capacity, and shares of searches that run side by side.

- `ray_session`: starts a Ray on this machine or joins a cluster.
- `connection`: reaches a cluster's Jobs API; `jobs`: submits and follows searches there.
- `capacity`: how many trials fit.
- `fair_share`: equal parts for searches on one cluster.
"""
