module leakbpf/workloads

go 1.18
