// Annotate a genome in shards, each in a work folder of its own, and merge them.
//
//   nextflow run main.nf --run run --genome hg19.fa --shards 20
//   nextflow run main.nf --run run --genome hg19.fa --options '--region chr20 --rc' -resume
//
// A GPU for each shard, where SLURM gives them out: process.withName:SHARD.clusterOptions = '--gpus=1' in nextflow.config.

params.run = 'run'
params.genome = null
params.shards = 20
params.options = '' // of annotate, as one would type them
params.outdir = '.' // where tracks/ goes
params.threads = 4

process SHARD {
    tag "${shard}/${params.shards}"
    cpus params.threads
    memory '8 GB'

    input:
    val shard
    path run
    path genome

    output:
    path "shard-${shard}"

    script:
    """
    dilannot annotate ${run} ${genome} -o shard-${shard} --shard ${shard}/${params.shards} --threads ${task.cpus} ${params.options}
    """
}

process MERGE {
    cpus params.threads
    memory '8 GB'
    publishDir params.outdir, mode: 'copy'

    input:
    path shards

    output:
    path 'tracks'

    script:
    """
    dilannot merge tracks shard-* --threads ${task.cpus}
    """
}

workflow {
    if (!params.genome) {
        error 'give --genome FASTA'
    }
    SHARD(
        channel.of(1..(params.shards as Integer)),
        file(params.run, checkIfExists: true),
        file(params.genome, checkIfExists: true)
    )
    MERGE(SHARD.out.collect())
}
