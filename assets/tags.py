"""Owners, kinds, pools and tags of the assets, each with its reason."""

OWNERS = ["team:data"]

# Light steps share one slot: they take turns at the lakehouse's lock anyway, and a waiting step costs nothing.
LAKE_POOL = "lake"
# One training at a time per GPU; raise the limit with the number of GPUs (`textmill setup --gpu-slots N`).
GPU_POOL = "gpu"

# Shown in the catalog, and what run coordinators and launchers select on.
CPU_TAGS = {"compute": "cpu"}
GPU_TAGS = {"compute": "gpu"}

# Read by the k8s executor from the op (with the Kubernetes run launcher, from the job too: see `dagster_project/jobs.py`), since
# job tags are lost when a run is launched from the asset page.
GPU_OP_TAGS: dict[str, object] = {
    "dagster-k8s/config": {
        "container_config": {"resources": {"requests": {"cpu": "4", "memory": "16Gi"}, "limits": {"nvidia.com/gpu": "1"}}},
        "pod_spec_config": {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]},
    },
}
