"""Compute for tests that are not about processes: a process of its own imports for seconds to embed a few texts."""

from assets.training.embed import embed_files
from assets.training.jobs import EmbeddingJob
from resources.compute import LocalCompute


class QuickCompute(LocalCompute):
    """Embeds in this process; all other jobs run in a process of their own. The real way to embed: `training/test_embedding.py`."""

    def run(self, module, job, on_event):
        if module != "assets.training.embed":
            return super().run(module, job, on_event)
        embed_files(EmbeddingJob.model_validate(job))
        return {"event": "done"}
