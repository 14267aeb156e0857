package authz

# Says what data it has, so that a test sees every change to it.
decision := {"data": data.mirror} if not input.hoard

# Two values for one rule: each evaluation fails.
decision := {"data": 1} if input.fail == 1

decision := {"data": 2} if input.fail == 1

# Memory that is not given back.
decision := {"data": count(numbers.range(1, input.hoard))} if input.hoard > 0
