module leakbpf.test/cgoleak

go 1.19
