"""Our broker, registry and warehouse behind the command lines and ports of Redpanda's and ClickHouse's images.

For `make compose-check` where those images cannot be had: the compose file stays as it is, only the variables that
name its images differ. No place to keep data that matter.
"""
