package outside

# What a server answered.
answer := http.send(input.context.request)

# The same question twice, and what chance and the clock say between them.
twice := {"first": first, "second": second, "drawn": drawn} if {
	first := http.send(input.context.request).body
	drawn := [time.now_ns(), rand.intn("between", 1000000), uuid.rfc4122("between")]
	second := http.send(input.context.request).body
}

# Each answer leads to the next question.
chain := last if {
	first := http.send({"method": "get", "url": input.context.url}).body.next
	second := http.send({"method": "get", "url": first}).body.next
	last := http.send({"method": "get", "url": second}).body
}

addresses := net.lookup_ip_addr(input.context.name)

# Nobody is asked.
quiet := "nobody"
