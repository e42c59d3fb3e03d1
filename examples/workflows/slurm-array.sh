#!/bin/bash
# Annotate a genome as a SLURM array, one shard a task, and merge the shards when all are done.
#
#   bash slurm-array.sh 20 run hg19.fa tracks             # submits 20 tasks and the merge
#   bash slurm-array.sh 20 run hg19.fa tracks --rc        # with any options of annotate
#
# The folder must lie on a file system that all nodes see. A task that died goes on where it was: submit the same again;
# shards that are done end at once. To make one shard by hand, where there is no SLURM:
#
#   SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=20 bash slurm-array.sh 20 run hg19.fa tracks
#
#SBATCH --job-name=annotate
#SBATCH --output=annotate-%A-%a.log
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=12:00:00
#SBATCH --requeue
##SBATCH --gpus=1
set -euo pipefail

if [ $# -lt 4 ]; then
  echo "usage: bash slurm-array.sh SHARDS RUN GENOME TRACKS [OPTIONS OF ANNOTATE]" >&2
  exit 2
fi
shards=$1 run=$2 genome=$3 tracks=$4
shift 4

if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
  exec dilannot annotate "$run" "$genome" -o "$tracks" --shard auto "$@"
fi

# What would be refused is refused here, before anything waits in a queue.
dilannot annotate "$run" "$genome" -o "$tracks" --shard "1/$shards" --dry-run "$@"
array=$(sbatch --parsable --array="1-$shards" "$0" "$shards" "$run" "$genome" "$tracks" "$@")
sbatch --job-name=merge --output=merge-%j.log --cpus-per-task=4 --mem=8G --time=2:00:00 \
  --dependency="afterok:${array%%;*}" --kill-on-invalid-dep=yes --wrap "dilannot merge $(printf %q "$tracks")"
