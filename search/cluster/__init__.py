"""Ray clusters: connections, jobs, capacity, and fair shares of searches that run at the same time.

- `ray_session`: starts a Ray on this machine or joins a cluster.
- `machine`: counts the CPUs and the memory that this process may use.
- `connection`: reaches a cluster's Jobs API; `jobs`: submits and follows searches there.
- `capacity`: counts the trials that a cluster can run at a time.
- `fair_share`: divides a cluster equally among its searches.
"""
