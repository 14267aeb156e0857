# What a cluster does not let in.
package differential.admission

containers contains container if some container in input.request.object.spec.containers

containers contains container if some container in input.request.object.spec.initContainers

violation contains {"msg": message, "details": {"missing": missing}} if {
	provided := {label | input.request.object.metadata.labels[label]}
	required := {"app", "owner"}
	missing := required - provided
	count(missing) > 0
	message := sprintf("you must provide labels: %v", [missing])
}

violation contains {"msg": message} if {
	some container in containers
	not trusted(container.image)
	message := sprintf("container <%v> has an invalid image <%s>", [container.name, container.image])
}

violation contains {"msg": message} if {
	some container in containers
	units.parse_bytes(container.resources.limits.memory) > 1073741824
	message := sprintf("%s asks for %s", [container.name, container.resources.limits.memory])
}

violation contains {"msg": message} if {
	some container in containers
	units.parse(container.resources.limits.cpu) > 2
	message := sprintf("%q: %.2f cpu", [container.name, units.parse(container.resources.limits.cpu)])
}

violation contains {"msg": "privileged"} if containers[_].securityContext.privileged

violation contains {"msg": sprintf("hostPath %d", [index])} if {
	some index, volume in input.request.object.spec.volumes
	volume.hostPath
	not startswith(volume.hostPath.path, "/var/log")
}

trusted(image) if strings.any_prefix_match(image, ["registry.example/", "mirror.example/"])

tag(image) := parts[count(parts) - 1] if {
	parts := split(image, ":")
	count(parts) > 1
} else := "latest"

tags[container.name] contains tag(container.image) if some container in containers

patches := {{"op": "add", "path": sprintf("/spec/containers/%d/imagePullPolicy", [index]), "value": "Always"} |
	some index, container in input.request.object.spec.containers
	not container.imagePullPolicy
}

response := {"uid": input.request.uid, "allowed": count(violation) == 0}
