"""What each key of the configuration is for, in a sentence, for the page that shows
them. docs/operations.md says the same, and more.
"""

from __future__ import annotations

from collections.abc import Mapping

ABOUT: Mapping[str, str] = {
    "place.latitude": (
        "Degrees north: where schedules by the sun are that name no place"
    ),
    "place.longitude": "Degrees east, of the same place",
    "events.file_roots": (
        "Schedules may wait for files that lie in one of these folders of a node"
    ),
    "events.hook_calls_per_minute": (
        "Messages one incoming webhook takes in a minute; more are answered with 429"
    ),
    "power.hold_below": (
        "On battery with less charge than that, the least important runs wait"
    ),
    "power.freeze_below": (
        "On battery with less charge than that, those that run are frozen"
    ),
    "power.margin": "So much more charge lets them go on",
    "rebalance.enabled": "Whether anything is done when a machine itself runs short",
    "rebalance.touches": (
        "The most important priority that may be held, slowed, frozen or ended "
        "for it: background, low or medium"
    ),
    "rebalance.memory_above": (
        "With more of the machine's memory in use, the least important runs yield"
    ),
    "rebalance.memory_pressure": (
        "Above max_memory_usage too, if something waits for memory that much of "
        "the time"
    ),
    "rebalance.cpu_above": (
        "With more of its CPU in use and more important work there, they yield too"
    ),
    "rebalance.cpu_pressure": (
        "How much of the time something must wait for CPU before runs yield"
    ),
    "rebalance.network": (
        "Bytes a second, both ways, above which the least important runs wait; 0:"
        " not looked at"
    ),
    "rebalance.margin": "So much less load lets them go on",
    "rebalance.dwell": "Seconds between two acts on a node, so that their effect shows",
    "max_concurrent_agents": "How many agents run at once, on all nodes together",
    "limits": (
        "How many runs of an agent, a tag or a key at once, and how many starts "
        "in a time"
    ),
    "scheduler_mode": (
        "The order of those that wait: fifo, lifo, priority or dependency (runs "
        "of graphs with the longest way still to go first, then by priority)"
    ),
    "heartbeat_interval": "Seconds between a node's signs of life",
    "allow_agent_preemption": (
        "Whether a more important run may freeze or end a less important one"
    ),
    "max_memory_usage": "The share of a node's memory that agents may have together",
    "log_retention_days": (
        "How long after its end a run's folder is kept, with its output; the run "
        "itself and its events stay"
    ),
    "agent_timeout_default": (
        "Seconds after which a run is ended, if its agent says nothing else; "
        "persistent agents have no limit"
    ),
    "reschedule_on_crash": "Whether work that was lost with its node is queued again",
    "nodes.name": "What this machine is called",
    "nodes.down_after": "Seconds of silence after which a node counts as down",
    "nodes.admit_timeout": (
        "Seconds a run may wait for its node to take it, before it is queued again"
    ),
    "nodes.address": (
        "The IP address where the ports of this machine's runs are reached: told "
        "to their peers, and where Docker publishes"
    ),
    "nodes.ports": "The ports given to runs that ask for any",
    "nodes.labels": "What agents may require of this machine: avx512, disk=ssd",
    "nodes.devices": "GPUs: [{id: gpu0, memory: 24GB, model: A10, share: 1}]",
    "bus.max_entries": (
        "How many results the bus keeps of each agent and each capability"
    ),
    "cascade.max_depth": "How long a chain of agents that trigger each other may get",
    "cascade.max_runs_per_root": "How many runs one start may trigger in all",
    "output.max_bytes": (
        "How much of each stream of a run is kept; more is cut and counted"
    ),
    "paths.entry_roots": "If set, programs must lie in one of these folders",
    "paths.mount_roots": "Containers may mount what lies in one of these folders",
    "paths.preload_roots": (
        "Hooks may copy files of the node that lie in one of these folders"
    ),
    "paths.archive_roots": "Hooks may write archives into these folders",
    "preload.max_bytes": "The largest file a hook may fetch or copy",
    "preload.max_unpacked_bytes": "How much may come out of one archive",
    "preload.max_entries": "How many entries one archive may have",
    "preload.cache_bytes": (
        "Room for fetched files on each node, in VAR/cache; 0 is no cache"
    ),
    "preload.private_hosts": (
        "Hosts that hooks may fetch from although they are on a private network"
    ),
    "archive.max_bytes": "How much may go into one archive, before it is packed",
    "logs.compress_after": (
        "Seconds after a run's end until its output is compressed, from 60"
    ),
    "loki.url": (
        "Where Loki is, such as http://127.0.0.1:3100; the nodes then ship output to it"
    ),
    "security.run_as_users": "The users run_as may name",
    "security.subprocess_needs_admin": (
        "Whether only an admin may register unsandboxed agents"
    ),
    "security.spawns_per_minute": (
        "How many requests of one caller may start agents, a minute"
    ),
    "results.allow_private_targets": (
        "Whether webhooks may go to this machine and its private networks"
    ),
    "results.timeout": "Seconds one attempt of a delivery may take",
    "results.retries": (
        "How long to wait after each failed attempt; after the last one more, "
        "then it is dead"
    ),
    "results.file_roots": "The folders below which results may be written to files",
    "results.stream_max_length": "About how many entries a stream of results keeps",
    "artefacts.max_bytes": "How much of what one run left is listed",
    "artefacts.max_files": "How many files of one run are listed",
    "mqtt.url": "The broker of sensors: mqtt://host:1883, or mqtts://host:8883 for TLS",
    "mqtt.username": "Whom the broker knows",
    "mqtt.password": "The name of the secret that holds the password",
    "mqtt.client_id": (
        "How the broker calls this installation; two of one name throw each other out"
    ),
    "mqtt.ca_file": "A file of certificates to trust beside the system's",
    "mqtt.keepalive": "Seconds of silence after which the connection is looked after",
    "mqtt.voice": (
        "With whose rights what is said over the broker counts: none, viewer, "
        "operator or editor"
    ),
    "mqtt.qos": "How messages are asked for: 0, 1 or 2",
    "mqtt.max_payload": "A larger message is counted as rejected",
    "sensors.readings": "How many values of each sensor are kept",
    "sensors.max_topics": "How many sensors one filter with per_topic may bring forth",
    "queue.ageing": (
        "In priority mode, waiting this long counts as one priority more, up to "
        "high; 0 switches it off"
    ),
    "queue.longest_wait": (
        "In priority mode, a run that has waited this long goes before everything"
        " younger, critical too; 0 switches it off"
    ),
    "nodes.taints": (
        "Words that keep runs away which do not tolerate them: gpu, dedicated=ml"
    ),
    "nodes.bandwidth": (
        "What runs may declare of it together: 1Gbit; unlimited where neither says"
    ),
    "placement.strategy": (
        "Which of the nodes with room gets a run: the emptiest (spread) or the "
        "fullest (pack)"
    ),
    "placement.backfill": (
        "Easy keeps room for the first run that waits for it; off lets whatever "
        "fits pass"
    ),
}
