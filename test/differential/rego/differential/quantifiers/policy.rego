# `every`, `some … in`, `not` and how they nest.
package differential.quantifiers

all_running if {
	every server in input.servers {
		server.state == "running"
	}
}

all_safe if {
	count(input.servers) > 0
	every name, server in input.servers {
		not insecure(server)
		name != server.id
	}
}

insecure(server) if "telnet" in server.protocols

insecure(server) if {
	some port in server.ports
	port < 1024
	not port in {80, 443}
}

exposed contains server.id if {
	some server in input.servers
	some interface in server.interfaces
	some network in input.networks
	network.id == interface
	network.public
}

every_port_known if {
	every server in input.servers {
		every port in server.ports {
			port in input.known
		}
	}
}

first_insecure := min({index | some index, server in input.servers; insecure(server)})

lonely contains server.id if {
	some server in input.servers
	not shares(server)
}

shares(server) if {
	some other in input.servers
	other.id != server.id
	some interface in other.interfaces
	interface in server.interfaces
}

none if not some_open

some_open if {
	some "http", _ in input.rules
}

some_open if some "http" in input.rules
